"""Shared by adapters: images below a folder, paths that a listing names, and JSON files."""

from __future__ import annotations

import logging
import os.path
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.datasets.location import Place, content, entries, files
from pipeline.errors import DataError, UnreadableImage, printable
from pipeline.imaging import codec
from pipeline.imaging.codec import SUFFIXES

M = TypeVar("M", bound=BaseModel)
KNOWN = f"known endings: {' '.join(sorted(SUFFIXES))}"
# Files that stand beside images and are none.
COMPANIONS = frozenset({".csv", ".html", ".ini", ".json", ".md", ".txt", ".xml", ".yaml", ".yml"})

log = logging.getLogger(__name__)


def images(root: Place, folder: str = "") -> list[PurePosixPath]:
    """All images in a folder of the root and its folders, relative to the root, in name order.

    Of other files, those that may have been meant as images are named in a warning.
    """
    there = [PurePosixPath(folder, path) for path in files(root / folder)]
    known = [p for p in there if p.suffix.lower() in SUFFIXES]
    strange = [p for p in there if p.suffix.lower() not in SUFFIXES and not _companion(p)]
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
    return path.suffix.lower() in COMPANIONS or path.name.lower() == "thumbs.db"


def folders(home: Place) -> list[str]:
    """The names of the visible folders in a folder whose images all lie in one of these.

    Raises:
        DataError: an image lies beside them, so that its class is not known.
    """
    inner, loose = entries(home)
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


def inside(root: Place, given: str, where: str) -> str:
    """An image's path as a listing gives it, as a POSIX path relative to the root.

    Args:
        root: the folder that the path must be in.
        given: relative to the root or absolute; with / or, from Windows, with \\.
        where: what the message calls the place it was read from.

    Raises:
        DataError: it is empty or leads out of the root.
    """
    path = given.strip().replace("\\", "/")
    if not path or "\0" in path:
        raise DataError(f"{where} has no usable path of an image (it reads {given!r})")
    if isinstance(root, Path):
        home = os.path.normpath(root.absolute())
    else:
        home, path = "/root", path.removeprefix(f"{str(root).rstrip('/')}/")
    full = os.path.normpath(PurePosixPath(home, path))
    strange = PureWindowsPath(path).drive or "://" in path
    if strange or not full.startswith(home.rstrip("/") + "/"):
        raise DataError(
            f"{where} names {given}, which is not in {root}; write paths relative to that folder "
            "or set source.root in ingest.yaml to one that holds all images"
        )
    return PurePosixPath(full).relative_to(home).as_posix()


def once(seen: dict[str, str], path: str, where: str) -> None:
    """Note where a listing names an image; raises DataError when it did so before."""
    former = seen.setdefault(path, where)
    if former != where:
        raise DataError(f"{where} names {path}, as {former} did; keep one of the two")


def load(file: Place, model: type[M], expected: str) -> M:
    """Read a JSON file that someone else's tool wrote.

    Raises:
        DataError: it is missing, not JSON or of another form; the message names what is `expected`.
    """
    try:
        data = content(file).removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise DataError(
            f"{file} (source.file in ingest.yaml) cannot be read: {error.strerror}; "
            f"expected {expected}"
        ) from None
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DataError(
            f"{file}: {place + ': ' if place else ''}{first['msg']}; expected {expected}"
        ) from None
