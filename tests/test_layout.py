"""One name, five places: a stage is found by its name wherever it appears."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.imports import ROOT, closure, modules

DVC: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
STAGES = list(DVC)
RECIPES = sorted(p.parent.name for p in (ROOT / "conf").glob("*/ingest.yaml"))
MOST_MODULES, MOST_LINES = 14, 350
DECLARED_LINES = 4  # a signature, a docstring and one line: a property, an abstract method
# Families of networks: every entry of each goes through the same tests, in test_entries.py.
FAMILIES = "pipeline.training.architectures."
TESTS = sorted((ROOT / "tests").rglob("*.py"))
OPEN = {"_replace", "_asdict", "_fields"}  # named tuples' own, private by name only
TOGETHER = {m for m in modules() if m.startswith(FAMILIES) and m.rpartition(".")[2][0] != "_"}


def outputs(stage: str) -> list[str]:
    """All paths that a stage of dvc.yaml declares as written."""
    found = [
        *DVC[stage].get("outs", []),
        *DVC[stage].get("metrics", []),
        *DVC[stage].get("plots", []),
    ]
    return [next(iter(o)) if isinstance(o, dict) else o for o in found]


def test_the_stages_are_the_six_of_the_design() -> None:
    assert STAGES == ["ingest", "preprocess", "augment", "train", "evaluate", "register"]


def test_every_stage_module_is_a_stage_of_dvc_yaml() -> None:
    there = {p.stem for p in (ROOT / "pipeline/stages").glob("*.py")} - {"__init__"}
    assert there == set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_its_name_in_five_places(stage: str) -> None:
    assert DVC[stage]["cmd"] == f"python -m pipeline.stages.{stage} ${{item.recipe}}"
    assert (ROOT / f"pipeline/stages/{stage}.py").is_file()
    assert (ROOT / f"tests/stages/test_{stage}.py").is_file()
    assert [r for r in RECIPES if not (ROOT / f"conf/{r}/{stage}.yaml").is_file()] == []
    assert f"conf/${{item.recipe}}/{stage}.yaml" in [next(iter(p)) for p in DVC[stage]["params"]]
    assert {Path(o).parts[2] for o in outputs(stage)} == {stage}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_built_for_every_recipe_listed(stage: str) -> None:
    assert DVC[stage]["matrix"] == {"recipe": "${recipes}"}


@pytest.mark.parametrize("stage", STAGES)
def test_the_code_a_stage_lists_covers_its_import_closure(stage: str) -> None:
    files = {path.relative_to(ROOT).as_posix() for path in reached_by(stage)}
    listed = [d for d in DVC[stage]["deps"] if d.startswith("pipeline/")]
    missing = sorted(f for f in files if not any(covers(entry, f) for entry in listed))
    assert missing == [], f"dvc.yaml, stage {stage}: deps cover not what the stage imports"
    idle = [entry for entry in listed if not any(covers(entry, f) for f in files)]
    assert idle == [], f"dvc.yaml, stage {stage}: deps list what the stage does not import"


def reached_by(stage: str) -> set[Path]:
    """All files that a stage imports, and the pages beside them that they fill in."""
    imported = closure(f"pipeline.stages.{stage}")
    paths = {modules()[m] for m in imported}
    return paths | {page for path in paths for page in path.parent.glob(f"{path.stem}.*.j2")}


def covers(entry: str, file: str) -> bool:
    """Is the file what a dependency names, or in the folder that it names?"""
    return file == entry or file.startswith(f"{entry}/")


def test_dvc_yaml_reads_in_two_minutes() -> None:
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) <= 150


def test_every_recipe_that_dvc_builds_has_a_folder_of_settings() -> None:
    wanted = yaml.safe_load((ROOT / "conf/recipes.yaml").read_text())["recipes"]
    assert set(wanted) <= set(RECIPES)


def test_no_module_has_a_name_without_a_meaning() -> None:
    nothing = {"utils", "util", "core", "helpers", "common", "misc"}
    assert nothing.isdisjoint(part for m in modules() for part in m.split("."))


def test_every_package_opens_with_a_paragraph_on_what_it_owns() -> None:
    packages = (ROOT / "pipeline").rglob("__init__.py")
    assert [p for p in packages if not p.read_text().startswith('"""')] == []


def test_no_folder_holds_more_modules_than_one_can_look_over() -> None:
    folders = Counter(p.parent for p in modules().values() if not p.name.startswith("__"))
    assert [str(f) for f, n in folders.items() if n > MOST_MODULES] == []


def test_no_module_is_longer_than_one_noun_needs() -> None:
    lines = {m: len(p.read_text("utf-8").splitlines()) for m, p in modules().items()}
    assert {m: n for m, n in lines.items() if n > MOST_LINES} == {}


def test_the_tests_mirror_the_house() -> None:
    """Each module that does something has a test file of its name in the folder of its name."""
    assert [m for m in modules() if wants_tests(m) and not mirror(m).is_file()] == []


@pytest.mark.parametrize("path", TESTS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_a_test_goes_through_the_public_face(path: Path) -> None:
    """No test reads or replaces a private attribute, or imports a private name.

    A private module is its package's own, so the tests in the mirror of that package may import it.
    """
    uses = private_uses(path.read_text("utf-8"), path)
    found = [f"{path.relative_to(ROOT)}:{line} {what}" for line, what in uses]
    assert found == [], "go through the public face, or let the constructor take what is needed"


def private_uses(text: str, path: Path) -> Iterator[tuple[int, str]]:
    """Each private name of the house that the text of a test file touches, with its line."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and not is_own(node):
            yield node.lineno, f"reads {ast.unparse(node)}"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipeline"):
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                if not is_public_for(path, name):
                    yield node.lineno, f"imports {name}"
        elif isinstance(node, ast.Call) and is_setattr(node):
            names = [a.value for a in node.args[:2] if isinstance(a, ast.Constant)]
            for name in (n for n in names if isinstance(n, str)):
                if not is_public_for(path, name):
                    yield node.lineno, f"replaces {name}"


def is_own(node: ast.Attribute) -> bool:
    """Is it an attribute of the test's own class, seen from within, or no private one at all?"""
    return ast.unparse(node.value) in ("self", "cls") or node.attr in OPEN


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def is_public_for(path: Path, name: str) -> bool:
    """Is a dotted name public, or that of a private module in the package that a test mirrors?"""
    package = ".".join(("pipeline", *path.relative_to(ROOT / "tests").parent.parts))
    inside = name.removeprefix(f"{package}.")
    first, _, rest = inside.partition(".")
    if inside != name and is_private(first) and f"{package}.{first}" in modules():
        inside = rest
    return not any(map(is_private, inside.split(".")))


def is_setattr(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == "setattr"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("source._clock", "reads source._clock"),
        ("patch.setattr(records, '_room', 1)", "replaces _room"),
        ("patch.setattr('pipeline.files._sync', 1)", "replaces pipeline.files._sync"),
        ("from pipeline.files import _sync", "imports pipeline.files._sync"),
        ("from pipeline.daemon.net import _url", "imports pipeline.daemon.net._url"),
        ("from pipeline.daemon.sources._url import _split", "imports pipeline.daemon.sources"),
        ("from pipeline.daemon.sources._url import CameraUrl", None),
        ("from pipeline.daemon.sources import _url", None),
        ("stamp._replace(size=1)", None),
        ("self._taken = cls._started", None),
    ],
)
def test_what_is_private_is_found(line: str, found: str | None) -> None:
    file = ROOT / "tests/daemon/sources/test_of_this_test.py"
    uses = [what for _, what in private_uses(line, file)]
    assert [what.startswith(found or "?") for what in uses] == [True] * (found is not None)


def wants_tests(module: str) -> bool:
    """Does a module do something that is not tested with all of its family?"""
    path = modules()[module]
    return does_something(path) and not path.name.startswith("__") and module not in TOGETHER


def mirror(module: str) -> Path:
    """Where the tests of a module belong."""
    path = modules()[module]
    folder = path.relative_to(ROOT / "pipeline").parent
    return ROOT / "tests" / folder / f"test_{path.stem.lstrip('_')}.py"


def does_something(path: Path) -> bool:
    """Has a module a function, or a class with a method that is more than declared?"""
    functions = [n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if is_function(n)]
    return any(len(ast.unparse(f).splitlines()) > DECLARED_LINES for f in functions)


def is_function(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
