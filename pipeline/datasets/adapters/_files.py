"""What adapters share: the images below a folder, the paths a listing names, and JSON files."""

from __future__ import annotations

import os.path
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.errors import DataError
from pipeline.imaging.codec import SUFFIXES

M = TypeVar("M", bound=BaseModel)


def folders(home: Path) -> list[Path]:
    """The visible folders in a folder, in name order."""
    return sorted(p for p in home.iterdir() if p.is_dir() and p.name[0] != ".")


def images(home: Path, below: Path) -> list[Path]:
    """All images in a folder and its folders, relative to `below`, in name order."""
    return sorted(p.relative_to(below) for p in home.rglob("*") if p.suffix.lower() in SUFFIXES)


def inside(root: Path, given: str, where: str) -> str:
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
    home = os.path.normpath(root.absolute())
    full = os.path.normpath(PurePosixPath(home, path))
    if PureWindowsPath(path).drive or not full.startswith(home.rstrip("/") + "/"):
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


def load(file: Path, model: type[M], expected: str) -> M:
    """Read a JSON file that someone else's tool wrote.

    Raises:
        DataError: it is missing, no JSON or of another form; the message says what is `expected`.
    """
    try:
        data = file.read_bytes().removeprefix(b"\xef\xbb\xbf")
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
