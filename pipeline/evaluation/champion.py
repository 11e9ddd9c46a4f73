"""The champion of the day, which a challenger is compared with."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from pipeline.contracts.bundle import Bundle, open_bundle
from pipeline.errors import BundleError, LinesideError, NoChampion
from pipeline.registry.connection import sqlite_file
from pipeline.registry.resolution import resolve
from pipeline.registry.store import Registry
from pipeline.registry.versions import Version


@dataclass(frozen=True)
class Rival:
    """A champion, or why there is none to compare with.

    Attributes:
        name: `<recipe>/<version>`, "" where there is none.
        bundle: verified; None where it cannot be had.
        missing: why, for people.
        out_of_reach: there is a champion, or may be one: nobody can say that it is worse.
    """

    name: str = ""
    bundle: Bundle | None = None
    missing: str = "nobody asked for a comparison"
    out_of_reach: bool = False


def champion(registry: Registry, recipe: str, cache: Path) -> Rival:
    """The champion's bundle, kept in the folder `cache` once it was pulled.

    Whatever keeps it from being had is a fact for the report, and for the gate.
    """
    file = sqlite_file(registry.uri)
    if file is not None and not file.exists():
        return Rival(missing="there is no champion yet")
    try:
        version = resolve(registry, recipe).version
    except NoChampion:
        return Rival(missing="there is no champion yet")
    except LinesideError as error:
        return Rival(missing=str(error), out_of_reach=True)
    folder = cache / f"{recipe}-{version.version}-{version.bundle_sha256[:12]}"
    try:
        return Rival(version.name, _kept(registry, version, folder), "")
    except LinesideError as error:
        return Rival(version.name, missing=str(error), out_of_reach=True)


def _kept(registry: Registry, version: Version, folder: Path) -> Bundle:
    if folder.is_dir():
        try:
            return open_bundle(folder, version.bundle_sha256)
        except BundleError:  # a copy of our own: the registry has the original
            shutil.rmtree(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return registry.pull(version, folder)
