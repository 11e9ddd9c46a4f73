"""Masks among images: files with the stem of an image that are drawn, not photographed.

A mask that is taken for a part is learned as one. Names alone do not decide, since many data sets
have one picture in two formats; of two files of one stem exactly one must look like a mask.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from pathlib import PurePosixPath

from pipeline.contracts.sample import Sample
from pipeline.datasets.location import Place, image
from pipeline.errors import DataError, UnreadableImage, printable
from pipeline.imaging.codec import looks_drawn

LOOKED_AT = 100  # pairs of files, spread over the data set
_MARK = re.compile(
    r"([_.-](mask|masks|gt|groundtruth|ground_truth|seg|segmentation|label|lbl))$", re.I
)
_FOLDERS = frozenset(
    {
        *("images", "image", "imgs", "img", "rgb"),
        *("masks", "mask", "ground_truth", "groundtruth", "gt", "labels", "label"),
        *("segmentation", "segmentations", "seg", "annotations"),
    }
)
Twin = tuple[PurePosixPath, PurePosixPath]


def refuse_masks(samples: Iterable[Sample], root: Place) -> None:
    """Check that no sample is the mask of another.

    Raises:
        DataError: one is; the message names a pair and the settings that read masks as such.
    """
    twins = mask_twins([PurePosixPath(sample.path) for sample in samples], root)
    if not twins:
        return
    picture, mask = twins[0]
    if picture.parent == mask.parent:
        ending = mask.name[len(picture.stem) :]
        settings = f"type: masks, root: {root}, mask_ending: {ending}, label: folder"
    else:
        settings = f"type: masks, root: {root}, with source.images and source.masks"
    raise DataError(
        f"{root} has masks among its images, such as {printable(str(mask))} for "
        f"{printable(str(picture))}: they would be learned as parts; set source in ingest.yaml to "
        f"{{{settings}}}, or move the masks away"
    )


def mask_twins(paths: Sequence[PurePosixPath], root: Place) -> list[Twin]:
    """Pairs of an image and its mask among files, as far as they are looked at.

    Args:
        paths: images relative to the root.
        root: the folder.
    """
    pairs = [pair for same in _alike(paths) for pair in combinations(same, 2)]
    step = max(1, -(-len(pairs) // LOOKED_AT))
    return [twin for pair in pairs[::step] if (twin := _image_and_mask(pair, root)) is not None]


def _alike(paths: Iterable[PurePosixPath]) -> Iterator[list[PurePosixPath]]:
    """Files of one stem in one folder, or in folders beside each other for images and masks."""
    found: dict[PurePosixPath, list[PurePosixPath]] = {}
    for path in paths:
        parent = [part for part in path.parent.parts if part.lower() not in _FOLDERS]
        found.setdefault(PurePosixPath(*parent, _MARK.sub("", path.stem)), []).append(path)
    return (same for same in found.values() if len(same) > 1)


def _image_and_mask(pair: Twin, root: Place) -> Twin | None:
    """The image and its mask, None where both are images or one cannot be read."""
    try:
        drawn = [looks_drawn(image(root / str(path), str(path)), str(path)) for path in pair]
    except UnreadableImage:
        return None
    first, second = pair
    if drawn == [False, True]:
        return first, second
    return (second, first) if drawn == [True, False] else None
