"""One adapter a file; the file's name is what `source.type` selects in `ingest.yaml`.

An adapter module has `Config` (with a `Literal` type), `read(config) -> list[Sample]` and
`root(config) -> Place`, the folder that sample paths are relative to, on disk or elsewhere.
"""

from __future__ import annotations

from typing import Protocol, cast

from pipeline.contracts.sample import Sample
from pipeline.datasets.location import Place
from pipeline.plugins import Plugin, PluginConfig

ADAPTERS = Plugin(__name__)


class Adapter(Protocol):
    """What the module of an adapter offers."""

    Config: type[PluginConfig]

    def read(self, config: PluginConfig) -> list[Sample]:
        """List the samples; raises DataError when there are none."""

    def root(self, config: PluginConfig) -> Place:
        """The folder that the samples' paths are relative to, opened."""


def adapter(config: PluginConfig) -> Adapter:
    """The adapter that a configuration selects."""
    return cast(Adapter, ADAPTERS.module(config.type))
