"""A file is a plugin; it is imported when it is selected, not before."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.datasets.adapters import ADAPTERS, adapter
from pipeline.datasets.adapters.folder import Config as FolderConfig
from pipeline.plugins import Plugin, PluginConfig, Strict


class Point(Strict):
    x: int


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package with a plugin that works, one whose import fails, and a private module."""
    home = tmp_path / "plugins_of_a_test"
    home.mkdir()
    (home / "__init__.py").touch()
    (home / "_private.py").touch()
    (home / "needs_more.py").write_text("raise ImportError('not installed')\n")
    (home / "works.py").write_text(
        "from typing import Literal\n"
        "from pipeline.plugins import PluginConfig\n"
        "class Config(PluginConfig):\n"
        "    type: Literal['works']\n"
        "    size: int = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for module in [m for m in sys.modules if m.startswith(home.name)]:
        monkeypatch.delitem(sys.modules, module)
    return home.name


def test_names_are_those_of_the_files_without_private_ones(package: str) -> None:
    assert Plugin(package).names() == ["needs_more", "works"]


def test_listing_imports_no_plugin(package: str) -> None:
    Plugin(package).names()
    assert f"{package}.works" not in sys.modules


def test_a_plugin_is_usable_beside_one_that_cannot_be_imported(package: str) -> None:
    config = Plugin(package).configure({"type": "works", "size": 5})
    assert config.model_dump() == {"type": "works", "size": 5}


def test_a_plugin_refuses_keys_it_does_not_know(package: str) -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        Plugin(package).configure({"type": "works", "sise": 5})


def test_a_strict_model_does_not_change() -> None:
    point = Point(x=1)
    with pytest.raises(ValidationError, match="frozen"):
        setattr(point, "x", 2)  # noqa: B010, else mypy objects first


def test_every_adapter_offers_config_read_and_root() -> None:
    for name in ADAPTERS.names():
        module = ADAPTERS.module(name)
        assert issubclass(module.Config, PluginConfig)
        assert callable(module.read)
        assert callable(module.root)


def test_every_adapters_type_is_its_file_name() -> None:
    for name in ADAPTERS.names():
        annotation = ADAPTERS.module(name).Config.model_fields["type"].annotation
        assert annotation.__args__ == (name,)


def test_a_configuration_selects_its_own_adapter(tmp_path: Path) -> None:
    config = FolderConfig(type="folder", root=tmp_path)
    assert adapter(config).root(config) == tmp_path
