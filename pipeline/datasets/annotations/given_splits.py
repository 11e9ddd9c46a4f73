"""The splits that a data set gives by the names of its folders, as different tools spell them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

_SPELLINGS = {
    **{name: "train" for name in ("train", "training")},
    **{name: "val" for name in ("val", "valid", "validation", "dev")},
    **{name: "test" for name in ("test", "testing")},
}
_YEAR = re.compile(r"[ _-]?\d+$")  # train2017


def split_of(name: str) -> str:
    """The split that a folder or file of this name means, "" for none."""
    return _SPELLINGS.get(_YEAR.sub("", name.lower()), "")


def given_splits(paths: Sequence[PurePosixPath]) -> list[tuple[str, str]]:
    """The split of each image and the name of the folder that gives it; "" and "" without one.

    A split is given where folders on one level are called train and test or val. Folders of other
    names beside these give none, so that their images are noticed.
    """
    for level in range(max((len(p.parts) for p in paths), default=1) - 1):
        names = [p.parts[level] if len(p.parts) > level + 1 else "" for p in paths]
        found = [(split_of(name), name) for name in names]
        splits = {split for split, _ in found}
        if "train" in splits and splits & {"val", "test"}:
            return [(split, name if split else "") for split, name in found]
    return [("", "")] * len(paths)
