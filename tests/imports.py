"""The import graph of `pipeline`, read from the source without importing it."""

from __future__ import annotations

from pathlib import Path

from pipeline.source_code import closure, imports, modules, plugin_packages

__all__ = ["ROOT", "closure", "imports", "modules", "plugin_packages"]

ROOT = Path(__file__).parent.parent
