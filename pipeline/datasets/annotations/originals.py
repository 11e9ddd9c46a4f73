"""Originals of augmented copies, which Roboflow's exports name: `<original>.rf.<hash>.jpg`."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

# The hash had 32 hexadecimal digits, and has letters of both cases and digits today.
_COPY = re.compile(r"(.+)\.rf\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9]+")


def original(path: PurePosixPath, split: str = "") -> str:
    """The group of an image: copies of one original share it, any other is alone in its own.

    Args:
        path: of the image, relative to the root.
        split: the folder of its split, which is not part of the group: a copy in another split is
            still a copy. "" without one.
    """
    copy = _COPY.fullmatch(path.name)
    if copy is None:
        return path.as_posix()
    home = path.parent
    if split and split in home.parts:
        at = home.parts.index(split)
        home = PurePosixPath(*home.parts[:at], *home.parts[at + 1 :])
    return (home / copy[1]).as_posix()
