"""One labelled image of a data set, before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Box:
    """A rectangle around what is marked in a picture, as it is seen upright.

    Attributes:
        label: what is marked, as it stands in the data.
        left, top, right, bottom: its sides; right and bottom are beyond its last pixel.
        relative: the sides are shares of width and height, 0 to 1, not pixels.
    """

    label: str
    left: float
    top: float
    right: float
    bottom: float
    relative: bool = False


@dataclass(frozen=True)
class Sample:
    """One image, as a dataset adapter gives it.

    Attributes:
        id: unique name within the data set; it is what the line calls the serial in a replay.
        path: POSIX path relative to the adapter's root.
        label: label as it stands in the data (a class name or an alias of one).
        group: images of one physical part, module or shot share it; never split apart.
        variant: product variant the image shows ("" when there is only one).
        defect_probability: the annotator's belief that the part is defective, where one was given.
        weight: how much it counts in the loss of training, above 0 to 1.
        split: train, val or test where the data set has its own split, else "".
        mask: what is 0 where the part is sound: POSIX path, relative to the same root, of an image
            of the same size, several such paths with a line break between, or run lengths
            (`pipeline/datasets/annotations/defect_mask.py`); "" where there is none.
        labels: the labels of all that is marked in it, of which the gravest by the taxonomy is its
            class; `label` is then one of them. () where `label` is decided.
        boxes: where that is.
    """

    id: str
    path: str
    label: str
    group: str
    variant: str = ""
    defect_probability: float | None = None
    split: str = ""
    mask: str = ""
    labels: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()
    weight: float = 1.0
