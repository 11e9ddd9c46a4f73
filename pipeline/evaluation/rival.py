"""The champion of the day, which a challenger is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.contracts.bundle import Bundle, open_bundle
from pipeline.errors import LinesideError, NoChampion
from pipeline.registry.store import Registry


@dataclass(frozen=True)
class Rival:
    """A champion, or why there is none to compare with.

    Attributes:
        name: `<recipe>/<version>`, "" where there is none.
        bundle: verified; None where it cannot be had.
        missing: why, for people.
    """

    name: str = ""
    bundle: Bundle | None = None
    missing: str = "nobody asked for a comparison"


def champion(registry: Registry, recipe: str, cache: Path) -> Rival:
    """The champion's bundle, kept in the folder `cache` once it was pulled.

    An evaluation needs no champion: whatever keeps it from being had is a fact for the report.
    """
    try:
        version = registry.champion(recipe)
    except NoChampion:
        return Rival(missing="there is no champion yet")
    except LinesideError as error:
        return Rival(missing=f"the champion is out of reach: {error}")
    folder = cache / f"{recipe}-{version.version}-{version.bundle_sha256[:12]}"
    try:
        if folder.is_dir():
            return Rival(version.name, open_bundle(folder, version.bundle_sha256), "")
        cache.mkdir(parents=True, exist_ok=True)
        return Rival(version.name, registry.pull(version, folder), "")
    except LinesideError as error:
        return Rival(version.name, missing=f"the champion cannot be opened: {error}")
