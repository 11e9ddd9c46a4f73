"""A file's name is the plugin's name: `datasets/adapters/elpv.py` is what `type: elpv` selects.

A plugin module has a `Config` with a `Literal` type and is imported only when selected, so an
adapter's packages are needed only by those who use it. Calls `errors` only.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"  # of stations, recipes, cameras, sinks


class Strict(BaseModel):
    """A model whose unknown keys are errors; once read it does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PluginConfig(Strict):
    """What every plugin's `Config` starts from."""

    type: str = Field(description="Which plugin: the name of its file.")


@dataclass(frozen=True)
class Plugin:
    """Marks a field whose `type` names a module of `package`; `config.load` resolves it."""

    package: str

    def names(self) -> list[str]:
        """Names of the plugins there are, without importing any."""
        home = importlib.import_module(self.package)
        return sorted(m.name for m in pkgutil.iter_modules(home.__path__) if m.name[0] != "_")

    def module(self, name: str) -> ModuleType:
        """Import one plugin."""
        return importlib.import_module(f"{self.package}.{name}")

    def configure(self, raw: dict[str, Any]) -> PluginConfig:
        """The typed configuration of the plugin that `raw["type"]` names."""
        config: type[PluginConfig] = self.module(raw["type"]).Config
        return config.model_validate(raw)
