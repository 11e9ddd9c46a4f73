"""The part of a cache's key that is code changes with what is imported, however far."""

from __future__ import annotations

import gc
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline import source_code
from pipeline.source_code import closure, code_digest

FILES = {
    "__init__.py": "",
    "top.py": "from pipeline.middle import work\n",
    "middle.py": "import pipeline.bottom\n\ndef work(): ...\n",
    "bottom.py": "LIMIT = 3\n",
    "other.py": "LIMIT = 4\n",
    "plugs/__init__.py": "from pipeline.plugins import Plugin\nPLUGS = Plugin(__name__)\n",
    "plugs/one.py": "SIZE = 1\n",
    "chooser.py": "from pipeline.plugs import PLUGS\n",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of ours, tiny; what was read of it is forgotten after each change."""
    home = tmp_path / "pipeline"
    (home / "plugs").mkdir(parents=True)
    for name, text in FILES.items():
        (home / name).write_text(text)
    monkeypatch.setattr(source_code, "PACKAGE", home)
    monkeypatch.setattr(source_code, "modules", source_code.modules.__wrapped__)
    monkeypatch.setattr(source_code, "imports", source_code.imports.__wrapped__)
    return home


@pytest.mark.parametrize("changed", ["top.py", "middle.py", "bottom.py", "__init__.py"])
def test_the_digest_changes_with_every_file_that_is_imported(package: Path, changed: str) -> None:
    before = code_digest("pipeline.top")
    (package / changed).write_text(FILES[changed] + "# changed\n")
    assert code_digest("pipeline.top") != before


def test_the_digest_stays_when_another_file_changes(package: Path) -> None:
    before = code_digest("pipeline.top")
    (package / "other.py").write_text("LIMIT = 5\n")
    assert code_digest("pipeline.top") == before


def test_the_digest_changes_with_a_plugin_that_settings_may_select(package: Path) -> None:
    before = code_digest("pipeline.chooser")
    (package / "plugs/two.py").write_text("SIZE = 2\n")
    assert code_digest("pipeline.chooser") != before


def test_imports_for_types_alone_are_left_out(package: Path) -> None:
    lines = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pipeline.other\n"
    (package / "top.py").write_text(lines)
    assert closure("pipeline.top") == {"pipeline", "pipeline.top"}


# What is cached under a key with each module's code, and which of ours its code must not cover: a
# change there would throw away what it does not change.
NEVER_COVERS = {
    "pipeline.datasets.shard_writer": ("datasets.adapters", "ledger", "training", "daemon"),
    "pipeline.datasets.scanning": ("datasets.adapters", "ledger", "training", "daemon"),
    "pipeline.training.augmentation": ("training.architectures", "training.heads", "datasets"),
    "pipeline.training.features.backbone_features": (
        *("training.heads", "training.finetune", "training.methods", "datasets", "registry"),
    ),
    "pipeline.training.heads.nystroem": (
        *("training.architectures", "training.network", "training.heads.logistic"),
        *("training.augmentation", "datasets", "registry", "inference"),
    ),
    "pipeline.training.heads.principal": (
        *("training.architectures", "training.network", "training.heads.logistic"),
        *("training.augmentation", "datasets", "registry", "inference"),
    ),
}
COVERS = {
    "pipeline.datasets.shard_writer": ("datasets.manifest", "imaging.prepare", "imaging.codec"),
    "pipeline.datasets.scanning": ("imaging.codec", "imaging.fingerprint"),
    "pipeline.training.augmentation": ("training.augmentation.chain",),
    "pipeline.training.features.backbone_features": (
        *("training.architectures.resnet", "training.network", "training.export"),
    ),
    "pipeline.training.heads.nystroem": ("training.head_modules",),
    "pipeline.training.heads.principal": ("training.features.cache",),
}


def test_every_module_whose_code_is_in_a_key_is_listed() -> None:
    keyed = set()
    for name, path in source_code.modules().items():
        for given in re.findall(r"\bcode_digest\(([^*)]+)\)", path.read_text("utf-8")):
            keyed.add(name if given == "__name__" else given.strip('"'))
    assert keyed == set(NEVER_COVERS) == set(COVERS)


@pytest.mark.parametrize("module", NEVER_COVERS)
def test_a_key_does_not_change_with_code_that_changes_nothing(module: str) -> None:
    others = tuple(f"pipeline.{name}" for name in NEVER_COVERS[module])
    known = source_code.modules().keys()
    assert known >= set(others), "each of these is a module"
    reached = [m for m in closure(module) if any(f"{m}.".startswith(f"{o}.") for o in others)]
    assert reached == []


@pytest.mark.parametrize("module", COVERS)
def test_a_key_changes_with_the_code_that_computes(module: str) -> None:
    assert closure(module) >= {f"pipeline.{name}" for name in COVERS[module]}


def test_threads_may_ask_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_code, "imports", source_code.imports.__wrapped__)  # nothing is kept
    # A collection of garbage that runs Python lets another thread in, in the middle of a parse.
    thresholds = gc.get_threshold()
    gc.callbacks.append(let_others_run)
    gc.set_threshold(100)
    try:
        with ThreadPoolExecutor(4) as pool:
            found = set(pool.map(code_digest, ["pipeline.training.heads.nystroem"] * 8))
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(let_others_run)
    assert len(found) == 1


def let_others_run(*_: object) -> None:
    time.sleep(0)


def test_a_module_that_is_missing_has_no_digest(package: Path) -> None:
    with pytest.raises(KeyError, match=r"pipeline\.missing"):
        code_digest("pipeline.missing")
