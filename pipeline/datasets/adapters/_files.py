"""Shared by adapters: images below a folder, images that are named twice, and JSON files."""

from __future__ import annotations

import logging
from codecs import BOM_UTF8
from pathlib import PurePosixPath
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.datasets.location import Place, content, entries, files, opened
from pipeline.datasets.never_parts import PassedOver
from pipeline.errors import DataError, UnreadableImage, printable
from pipeline.imaging import codec
from pipeline.imaging.codec import SUFFIXES

M = TypeVar("M", bound=BaseModel)
KNOWN = f"known endings: {' '.join(sorted(SUFFIXES))}"
# Files that stand beside images and are none.
COMPANIONS = frozenset({".csv", ".html", ".ini", ".json", ".md", ".txt", ".xml", ".yaml", ".yml"})

log = logging.getLogger(__name__)


def images(
    root: Place, folder: str = "", passed_over: PassedOver | None = None
) -> list[PurePosixPath]:
    """All images in a folder of the root and its folders, relative to the root, in name order.

    Of other files, those that may have been meant as images are named in a warning.

    Args:
        root: the folder that paths are relative to.
        folder: where to look in it.
        passed_over: where files are noted that are never parts, or of an unknown format.
    """
    passed = PassedOver() if passed_over is None else passed_over

    def note(path: PurePosixPath, kind: str) -> None:
        passed.add(PurePosixPath(folder, path), kind)

    there = [PurePosixPath(folder, path) for path in files(root / folder, note)]
    known = [p for p in there if p.suffix.lower() in SUFFIXES]
    strange = [p for p in there if p.suffix.lower() not in SUFFIXES and not _companion(p)]
    for path in strange:
        passed.add(path, f"format {printable(path.suffix or path.name)}")
    if strange and known:
        log.warning(
            "%s: %d file(s) passed over whose format is not supported, such as %s; %s",
            *(root, len(strange), printable(str(strange[0])), KNOWN),
        )
    elif strange:
        # A class that is there for its owner and not for us must not vanish.
        raise DataError(
            f"{root / folder} has no image, but {len(strange)} other file(s) such as "
            f"{printable(strange[0].name)}; convert them ({KNOWN}) or move them away"
        )
    return known


def _companion(path: PurePosixPath) -> bool:
    return path.suffix.lower() in COMPANIONS


def folders(home: Place, passed_over: PassedOver | None = None, below: str = "") -> list[str]:
    """The names of the folders in a folder whose images all lie in one of these.

    Args:
        home: the folder.
        passed_over: where files are noted that are never parts.
        below: the path of `home` in the root, for those.

    Raises:
        DataError: an image lies beside them, so that its class is not known.
    """

    def note(path: PurePosixPath, kind: str) -> None:
        if passed_over is not None:
            passed_over.add(PurePosixPath(below, path), kind)

    inner, loose = entries(home, note)
    stray = [name for name in loose if PurePosixPath(name).suffix.lower() in SUFFIXES]
    if inner and stray:
        raise DataError(
            f"{home} has {len(stray)} image(s) beside its folders, such as {printable(stray[0])}; "
            "move each into the folder of its class, or away"
        )
    return inner


def is_blank(mask: Place) -> bool:
    """Is every pixel of a mask 0? Raises UnreadableImage when it cannot be read."""
    try:
        return codec.is_blank(content(mask), str(mask))
    except OSError as error:
        raise UnreadableImage(f"{mask} cannot be read: {error.strerror}") from None


def once(seen: dict[str, str], path: str, where: str) -> None:
    """Note where a listing names an image; raises DataError when it did so before."""
    former = seen.setdefault(path, where)
    if former != where:
        raise DataError(f"{where} names {path}, as {former} did; keep one of the two")


def source_file(file: Place, expected: str) -> bytes:
    """The content of the file that `source.file` names.

    Raises:
        DataError: it cannot be read; the message names what is `expected`.
    """
    try:
        return content(opened(file))
    except OSError as error:
        raise DataError(
            f"{file} (source.file in ingest.yaml) cannot be read: {error.strerror}; "
            f"expected {expected}"
        ) from None


def load(file: Place, model: type[M], expected: str) -> M:
    """Read a JSON file that someone else's tool wrote.

    Raises:
        DataError: it is missing, not JSON or of another form; the message names what is `expected`.
    """
    try:
        return model.model_validate_json(source_file(file, expected).removeprefix(BOM_UTF8))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DataError(
            f"{file}: {place + ': ' if place else ''}{first['msg']}; expected {expected}"
        ) from None
