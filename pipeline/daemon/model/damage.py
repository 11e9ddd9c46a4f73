"""Cached models that are not as they were sealed, kept so that the cause can be found."""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path

from pipeline.files import move

KEPT = 3  # copies of a cache; the oldest go first
NAME = re.compile(r"damaged-(\d+)-.+")

log = logging.getLogger(__name__)


def set_aside(folder: Path) -> Path:
    """Move a damaged bundle out of the way, within its cache, and remove the oldest beyond `KEPT`.

    Returns:
        Where it is now: `damaged-<number>-<its name>`.

    Raises:
        OSError: it cannot be moved.
    """
    there = damaged_copies(folder.parent)
    number = _number(there[-1]) + 1 if there else 1
    aside = folder.with_name(f"damaged-{number:03d}-{folder.name}")
    move(folder, aside)
    for old in [*there, aside][:-KEPT]:
        _remove(old, f"more than {KEPT} are not kept")
    return aside


def damaged_copies(cache: Path) -> list[Path]:
    """Those that were set aside in a cache, the oldest first."""
    found = [path for path in cache.iterdir() if NAME.fullmatch(path.name)]
    return sorted(found, key=_number)


def make_room(cache: Path, lacking_bytes: int) -> bool:
    """Remove all copies that were set aside if that is enough; returns whether it was done."""
    there = damaged_copies(cache)
    sizes = [file.stat().st_size for path in there for file in path.rglob("*") if file.is_file()]
    if not there or sum(sizes) < lacking_bytes:
        return False
    for path in there:
        _remove(path, "its room is needed for the model")
    return True


def _number(path: Path) -> int:
    found = NAME.fullmatch(path.name)
    assert found is not None
    return int(found[1])


def _remove(path: Path, why: str) -> None:
    log.warning("the damaged model %s is removed: %s", path, why)
    shutil.rmtree(path, ignore_errors=True)
