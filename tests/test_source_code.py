"""The part of a cache's key that is code changes with what is imported, however far."""

from __future__ import annotations

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


def test_a_module_that_is_missing_has_no_digest(package: Path) -> None:
    with pytest.raises(KeyError, match=r"pipeline\.missing"):
        code_digest("pipeline.missing")
