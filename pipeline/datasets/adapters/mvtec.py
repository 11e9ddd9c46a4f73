"""The layout of MVTec AD: `train/good`, `test/<defect>` and masks in `ground_truth/<defect>`.

Bergmann et al., CVPR 2019. One category (bottle, cable, ...) is one data set.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import Literal

from pydantic import Field

from pipeline.contracts.sample import Sample
from pipeline.datasets.adapters._files import KNOWN, folders, images, is_blank
from pipeline.datasets.annotations.recognition import Recognition, Tree
from pipeline.datasets.listings.listing import Listing
from pipeline.datasets.location import Location, Place, is_file, is_folder, opened
from pipeline.datasets.never_parts import PassedOver
from pipeline.errors import DataError, UnreadableImage
from pipeline.plugins import PluginConfig

GOOD = "good"


class Config(PluginConfig):
    """Where the category is."""

    type: Literal["mvtec"]
    root: Location = Field(description="The folder that holds train, test and ground_truth.")


def root(config: Config) -> Place:
    """The configured folder."""
    return opened(config.root)


def read(config: Config) -> Listing:
    """The images of train, then of test, with that split; labels are good or the defect's name.

    Raises:
        DataError: the folder is missing, not laid out like this or without images, or a defective
            image has no mask or an empty one, though there is a folder of masks.
    """
    passed_over = PassedOver()
    _check_layout(root(config), passed_over)
    samples = [
        Sample(path.as_posix(), path.as_posix(), name, path.as_posix(), split=split)
        for split in ("train", "test")
        for name in folders(config.root / split, passed_over, split)
        for path in images(config.root, f"{split}/{name}", passed_over)
    ]
    for split in ("train", "test"):
        if not any(s.split == split for s in samples):
            raise DataError(f"{config.root / split} has no image; {KNOWN}")
    if not is_folder(config.root / "ground_truth"):
        return Listing(samples, passed_over=passed_over)
    masked = (
        s if s.label == GOOD else replace(s, mask=_mask(config.root, s.path)) for s in samples
    )
    return Listing(masked, passed_over=passed_over)


def _check_layout(root: Place, passed_over: PassedOver) -> None:
    expected = "expected train/good, test/good, test/<defect> and ground_truth/<defect>"
    if not is_folder(root):
        raise DataError(f"{root} is not a folder (source.root in ingest.yaml); {expected}")
    missing = [p for p in ("train/good", "test") if not is_folder(root / p)]
    if missing:
        categories = [p for p in folders(root, passed_over) if is_folder(root / p / "train" / GOOD)]
        remedy = f"; set source.root to one of {', '.join(categories)} in it" if categories else ""
        raise DataError(f"{root} has no {' and no '.join(missing)}; {expected}{remedy}")
    strange = [name for name in folders(root / "train", passed_over, "train") if name != GOOD]
    if strange:
        raise DataError(
            f"{root}/train holds {', '.join(strange)} beside good; in the layout of MVTec AD it "
            "holds good only; for classes in both, use type: folder with layout: splits"
        )


def _mask(root: Place, given: str) -> str:
    """The mask of test/scratch/000.png is ground_truth/scratch/000_mask.png."""
    path = PurePosixPath(given)
    name = PurePosixPath("ground_truth", *path.parts[1:-1], f"{path.stem}_mask.png")
    mask = root / name.as_posix()
    if not is_file(mask):
        raise DataError(
            f"{root / given} has no mask {mask}; add it, move the image to test/{GOOD}, or remove "
            "the folder ground_truth to do without masks"
        )
    try:
        blank = is_blank(mask)
    except UnreadableImage:
        blank = False  # the scan quarantines image and mask, and the others are used
    if blank:
        raise DataError(
            f"{mask} is empty, though its image is in {path.parent}; mend the mask or move the "
            f"image to test/{GOOD}"
        )
    return name.as_posix()


def recognise(tree: Tree) -> Recognition | None:
    """Good images alone in train, more folders in test.

    Raises:
        DataError: the folder holds several data sets laid out like this.
    """
    inner = {(path.parts[0], path.parts[1]) for path in tree.images if len(path.parts) > 2}
    taught = {name for top, name in inner if top == "train"}
    tested = {name for top, name in inner if top == "test"}
    if taught == {GOOD} and tested - {GOOD}:
        drawn = " with masks in ground_truth" if "ground_truth" in tree.folders else ""
        reason = f"train has {GOOD} only, test {', '.join(sorted(tested))}{drawn}"
        return Recognition(Config(type="mvtec", root=tree.home), reason)
    several = {p.parts[0] for p in tree.images if p.parts[1:3] == ("train", GOOD)}
    if several and {"train", "test"}.isdisjoint(tree.folders):
        raise DataError(
            f"{tree.home} holds {len(several)} data sets of MVTec AD's layout "
            f"({', '.join(sorted(several))}), each of its own product; name one of these folders"
        )
    return None
