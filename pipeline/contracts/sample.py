"""One labelled image of a data set, before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass

SPLITS = ("train", "val", "test")


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
        split: train, val or test where the data set has its own split, else "".
        mask: POSIX path, relative to the same root, of an image of the same size that is 0 where
            the part is sound; "" where there is none.
    """

    id: str
    path: str
    label: str
    group: str
    variant: str = ""
    defect_probability: float | None = None
    split: str = ""
    mask: str = ""
