"""One name, five places: a stage is found by its name wherever it appears."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.imports import ROOT, closure, modules, plugin_packages

DVC: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
STAGES = list(DVC)
RECIPES = sorted(p.parent.name for p in (ROOT / "conf").glob("*/ingest.yaml"))


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
def test_the_code_a_stage_depends_on_is_its_import_closure(stage: str) -> None:
    imported = closure(f"pipeline.stages.{stage}")
    folders = {p.replace(".", "/") for p in plugin_packages(imported)}
    paths = {modules()[m] for m in imported}
    paths |= {page for path in paths for page in path.parent.glob(f"{path.stem}.*.j2")}
    files = {path.relative_to(ROOT).as_posix() for path in paths}
    expected = sorted({f for f in files if str(Path(f).parent) not in folders} | folders)
    declared = sorted(d for d in DVC[stage]["deps"] if d.startswith("pipeline/"))
    listed = "\n".join(f"      - {d}" for d in expected)
    assert declared == expected, f"dvc.yaml, stage {stage}, deps should list:\n{listed}"


def test_every_recipe_that_dvc_builds_has_a_folder_of_settings() -> None:
    wanted = yaml.safe_load((ROOT / "conf/recipes.yaml").read_text())["recipes"]
    assert set(wanted) <= set(RECIPES)


def test_no_module_has_a_name_that_says_nothing() -> None:
    nothing = {"utils", "util", "core", "helpers", "common", "misc"}
    assert nothing.isdisjoint(part for m in modules() for part in m.split("."))


def test_every_package_opens_with_a_paragraph_on_what_it_owns() -> None:
    packages = (ROOT / "pipeline").rglob("__init__.py")
    assert [p for p in packages if not p.read_text().startswith('"""')] == []
