"""One file of COCO's JSON a split: Roboflow's `train/_annotations.coco.json` beside its images or
their folder `images`, and COCO's own `annotations/instances_train2017.json` beside `train2017/`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, Literal

from pydantic import Field

from pipeline.contracts.sample import SPLITS
from pipeline.datasets.adapters import coco
from pipeline.datasets.annotations.given_splits import split_of
from pipeline.datasets.annotations.originals import original
from pipeline.datasets.annotations.recognition import Recognition, Tree
from pipeline.datasets.listings.listing import Listing
from pipeline.datasets.listings.policy import Unlisted
from pipeline.datasets.location import Location, Place, is_folder, opened
from pipeline.errors import DataError
from pipeline.plugins import PluginConfig


class Config(PluginConfig):
    """Where the data set is."""

    type: Literal["coco_splits"]
    root: Location = Field(description="The folder that holds the files and the images.")
    severity: coco.Severity = None
    good: str = Field("good", min_length=1, description="Label of images without annotations.")
    unlisted: Unlisted = None


def root(config: Config) -> Place:
    """The configured folder."""
    return opened(config.root)


def read(config: Config) -> Listing:
    """The images of train, then val, then test, each in its file's order.

    Raises:
        DataError: there are no such files, two are of one split, or one cannot be used, see `coco`.
    """
    home = root(config)
    if not is_folder(home):
        raise DataError(f"{home} is not a folder (source.root in ingest.yaml)")
    tree = Tree(home)
    files = _files(tree)
    if not files:
        raise DataError(
            f"{home} has no file of COCO's JSON that is named like a split; expected such as "
            "train/_annotations.coco.json or annotations/instances_train.json"
        )
    listing = Listing(passed_over=tree.passed_over)
    for split, file in files.items():
        folder = _folder(tree, file, split)
        one = coco.read(
            coco.Config(
                type="coco",
                file=home / file.as_posix(),
                root=home / folder.as_posix(),
                severity=config.severity,
                good=config.good,
                unlisted=config.unlisted,
            )
        )
        for sample in one:
            path = folder / sample.path
            name = next((part for part in path.parts[:-1] if split_of(part)), "")
            group = original(path, name)
            sample = replace(sample, id=str(path), path=str(path), group=group, split=split)
            listing.append(sample)
        listing.notes += [note for note in one.notes if note not in listing.notes]
        listing.unlisted += [str(folder / path) for path in one.unlisted]
    return listing


def _files(tree: Tree) -> dict[str, PurePosixPath]:
    """The file of each split.

    Raises:
        DataError: two files are of one split.
    """
    found: dict[str, list[PurePosixPath]] = {}
    for path in tree.ending(".json", depth=2):
        split = coco.split_of_file(path)
        if split and coco.is_export(tree.json(path)):
            found.setdefault(split, []).append(path)
    files = {}
    for split in (split for split in SPLITS if split in found):
        # Beside these COCO has captions and key points of the same images.
        own = [p for p in found[split] if p.name.startswith("instances_")] or found[split]
        if len(own) > 1:
            raise DataError(
                f"{tree.home} has {len(own)} files of COCO's JSON for {split}: "
                f"{', '.join(map(str, own))}; keep one"
            )
        files[split] = own[0]
    return files


def _folder(tree: Tree, file: PurePosixPath, split: str) -> PurePosixPath:
    """The folder that `file_name` is relative to in the file of a split.

    Names may be the same in several splits, so that the folder of this one comes first.
    """
    listed: list[Any] = tree.json(file)["images"]
    homes = dict.fromkeys(path.parent for path in tree.images)
    own = [home for home in homes if any(split_of(part) == split for part in home.parts)]
    near = [file.parent, file.parent / "images", *own]
    names = [str(image.get("file_name", "")) for image in listed if isinstance(image, dict)]
    there = set(tree.images)
    for home in near:
        if any(home / name in there for name in names):
            return home
    return PurePosixPath(coco.image_folder(tree, file, listed))


def recognise(tree: Tree) -> Recognition | None:
    """Files of COCO's form for train and for val or test."""
    files = _files(tree)
    if len(files) < 2 or "train" not in files:
        return None
    named = ", ".join(map(str, files.values()))
    config = Config(type="coco_splits", root=tree.home)
    return Recognition(config, f"one file of COCO's JSON a split: {named}")
