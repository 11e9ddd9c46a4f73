"""The layout of MVTec AD: `train/good`, `test/<defect>` and masks in `ground_truth/<defect>`.

The mask of `test/crack/000.png` is `000_mask.png` there (MVTec AD), `000.png` (BTech) or all images
in the folder `000` (MVTec LOCO), which are joined. LOCO has `validation/good` too, BTech calls good
`ok`. Bergmann et al., CVPR 2019 and IJCV 2022; Mishra et al., ISIE 2021. One category (bottle,
cable, ...) is one data set.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import Literal

from pydantic import Field

from pipeline.contracts.sample import Sample
from pipeline.datasets.adapters._files import KNOWN, folders, images, is_blank
from pipeline.datasets.annotations.defect_mask import joined
from pipeline.datasets.annotations.recognition import Recognition, Tree
from pipeline.datasets.listings.listing import Listing
from pipeline.datasets.location import Location, Place, is_folder, opened
from pipeline.datasets.never_parts import PassedOver
from pipeline.errors import DataError, UnreadableImage
from pipeline.plugins import PluginConfig

GOOD = ("good", "ok")
SPLITS = {"train": "train", "validation": "val", "test": "test"}
MASKS = "ground_truth"


class Config(PluginConfig):
    """Where the category is."""

    type: Literal["mvtec"]
    root: Location = Field(description="The folder that holds train, test and ground_truth.")


def root(config: Config) -> Place:
    """The configured folder."""
    return opened(config.root)


def read(config: Config) -> Listing:
    """The images of train, validation and test, with that split; labels are the folders' names.

    Raises:
        DataError: the folder is missing, not laid out like this or without images, or a defective
            image has no mask or an empty one, though there is a folder of masks.
    """
    passed_over = PassedOver()
    _check_layout(root(config), passed_over)
    samples = [
        Sample(path.as_posix(), path.as_posix(), name, path.as_posix(), split=split)
        for folder, split in SPLITS.items()
        if is_folder(config.root / folder)
        for name in folders(config.root / folder, passed_over, folder)
        for path in images(config.root, f"{folder}/{name}", passed_over)
    ]
    for split in ("train", "test"):
        if not any(s.split == split for s in samples):
            raise DataError(f"{config.root / split} has no image; {KNOWN}")
    if is_folder(config.root / MASKS):
        drawn = _Masks(config.root, images(config.root, MASKS, passed_over))
        samples = [s if s.label in GOOD else replace(s, mask=drawn.of(s)) for s in samples]
    return Listing(samples, passed_over=passed_over)


class _Masks:
    """The masks of a data set by what they can be called."""

    def __init__(self, root: Place, paths: list[PurePosixPath]) -> None:
        self._root = root
        self._named: dict[PurePosixPath, list[PurePosixPath]] = {}
        for path in paths:
            for name in (path.with_suffix(""), path.parent):
                self._named.setdefault(name, []).append(path)

    def of(self, sample: Sample) -> str:
        """The mask of a defective sample, as `Sample` names it.

        Raises:
            DataError: there is none, or nothing is marked in it.
        """
        image = PurePosixPath(sample.path)
        home = PurePosixPath(MASKS, *image.parts[1:-1])
        names = (home / f"{image.stem}_mask", home / image.stem)
        masks = next((found for name in names if (found := self._named.get(name))), [])
        if not masks:
            raise DataError(
                f"{self._root / sample.path} has no mask {self._root / str(names[0])}.png; add it "
                f"(it may also be {image.stem}.png, or images in a folder {image.stem}), move the "
                f"image to test/{GOOD[0]}, or remove the folder {MASKS} to do without masks"
            )
        if all(map(self._is_blank, masks)):
            raise DataError(
                f"{self._root / str(masks[0])} is empty, though its image is in {image.parent}; "
                f"mend the mask or move the image to test/{GOOD[0]}"
            )
        return joined([str(mask) for mask in masks])

    def _is_blank(self, mask: PurePosixPath) -> bool:
        try:
            return is_blank(self._root / mask.as_posix())
        except UnreadableImage:
            return False  # the scan quarantines image and mask, and the others are used


def _check_layout(root: Place, passed_over: PassedOver) -> None:
    expected = "expected train/good, test/good, test/<defect> and ground_truth/<defect>"
    if not is_folder(root):
        raise DataError(f"{root} is not a folder (source.root in ingest.yaml); {expected}")
    missing = [p for p in ("train/good", "test") if not is_folder(root / p)]
    if "train/good" in missing and is_folder(root / "train" / GOOD[1]):
        missing.remove("train/good")
    if missing:
        there = folders(root, passed_over)
        categories = [p for p in there if any(is_folder(root / p / "train" / g) for g in GOOD)]
        remedy = f"; set source.root to one of {', '.join(categories)} in it" if categories else ""
        raise DataError(f"{root} has no {' and no '.join(missing)}; {expected}{remedy}")
    strange = [name for name in folders(root / "train", passed_over, "train") if name not in GOOD]
    if strange:
        raise DataError(
            f"{root}/train holds {', '.join(strange)} beside good; in the layout of MVTec AD it "
            "holds good only; for classes in both, use type: folder with layout: splits"
        )


def recognise(tree: Tree) -> Recognition | None:
    """Good images alone in train, more folders in test.

    Raises:
        DataError: the folder holds several data sets laid out like this.
    """
    inner = {(path.parts[0], path.parts[1]) for path in tree.images if len(path.parts) > 2}
    taught = {name for top, name in inner if top == "train"}
    tested = {name for top, name in inner if top == "test"}
    if len(taught) == 1 and taught <= {*GOOD} and tested - {*GOOD}:
        drawn = f" with masks in {MASKS}" if MASKS in tree.folders else ""
        reason = f"train has {taught.pop()} only, test {', '.join(sorted(tested))}{drawn}"
        return Recognition(Config(type="mvtec", root=tree.home), reason)
    several = {p.parts[0] for p in tree.images if p.parts[1:2] == ("train",) and p.parts[2] in GOOD}
    if several and {"train", "test"}.isdisjoint(tree.folders):
        raise DataError(
            f"{tree.home} holds {len(several)} data sets of MVTec AD's layout "
            f"({', '.join(sorted(several))}), each of its own product; name one of these folders"
        )
    return None
