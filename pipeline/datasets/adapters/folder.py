"""A folder for each class: `<root>/<class>/**/<image>` or `<root>/<split>/<class>/**/<image>`."""

from __future__ import annotations

import logging
from pathlib import PurePosixPath
from typing import Literal

from pydantic import Field

from pipeline.contracts.sample import SPLITS, Sample
from pipeline.datasets.adapters._files import KNOWN, folders, images
from pipeline.datasets.annotations.good_names import is_good
from pipeline.datasets.annotations.originals import original
from pipeline.datasets.annotations.recognition import Recognition, Tree
from pipeline.datasets.listings.listing import Listing
from pipeline.datasets.location import Location, Place, entries, is_folder, opened
from pipeline.datasets.never_parts import PassedOver
from pipeline.errors import DataError, printable
from pipeline.imaging.codec import SUFFIXES
from pipeline.plugins import PluginConfig

log = logging.getLogger(__name__)

# What others call a split.
_SPELLINGS = {"valid": "val", "validation": "val", "training": "train", "testing": "test"}
ANNOTATIONS = (".txt", ".xml", ".json")
# Folders of data formats, which are not named like a class of parts.
NOT_CLASSES = frozenset(
    {
        *("images", "image", "imgs", "img", "jpegimages", "train_images", "test_images", "rgb"),
        *("labels", "label", "lable", "annotations", "annotation", "xml", "txt", "json"),
        *("masks", "mask", "ground_truth", "groundtruth", "gt", "segmentation", "segmentations"),
    }
)


class Config(PluginConfig):
    """Where the class folders are."""

    type: Literal["folder"]
    root: Location = Field(description="The folder that holds one folder a class, or one a split.")
    layout: Literal["auto", "classes", "splits"] = Field(
        "auto",
        description="classes: one folder a class. splits: train, test and perhaps val, with one "
        "folder a class in each; that split is kept; capitals do not matter, and val may be "
        "called valid or validation. auto: splits where the root holds exactly those folders with "
        "folders in them, an error where they are mixed with others, else classes.",
    )


def root(config: Config) -> Place:
    """The configured folder."""
    return opened(config.root)


def read(config: Config) -> Listing:
    """All images below the class folders, in name order, split by split where splits are given.

    Raises:
        DataError: the folder is missing, has no class folders or no images, or images outside of
            them, a class has none but other files, or it does not have the given `layout`.
    """
    if not is_folder(root(config)):
        raise DataError(
            f"{config.root} is not a folder (source.root in ingest.yaml); expected one folder a "
            f"class, such as {config.root}/good/part-0001.png"
        )
    passed_over = PassedOver()
    homes = _homes(config, passed_over)
    found = [(split, home, images(config.root, home, passed_over)) for split, home in homes]
    empty = ", ".join(home for _, home, paths in found if not paths)
    if not any(paths for _, _, paths in found):
        raise DataError(f"{config.root} has class folders ({empty}) but no image in them; {KNOWN}")
    if empty:
        log.warning("%s: no image in %s", config.root, empty)
    samples = (
        Sample(
            id=path.as_posix(),
            path=path.as_posix(),
            label=PurePosixPath(home).name,
            group=original(path, PurePosixPath(home).parts[0] if split else ""),
            split=split,
        )
        for split, home, paths in found
        for path in paths
    )
    return Listing(samples, passed_over=passed_over)


def _homes(config: Config, passed_over: PassedOver) -> list[tuple[str, str]]:
    """The split ("" when none is given) and the folder of each class, as a path in the root."""
    there = folders(config.root, passed_over)
    if not there:
        raise DataError(f"{config.root} has no folders; expected one a class, named like the class")
    if config.layout == "classes":
        return [("", home) for home in there]
    if len(there) == 1 and _only_holds_folders(config.root / there[0]):
        raise DataError(
            f"{config.root} holds nothing but {there[0]}, which holds folders; set source.root to "
            f"{config.root / there[0]}, or source.layout to classes if that is a class"
        )
    splits = _splits(config, there)
    inner = {name: folders(config.root / name, passed_over, name) for name in splits.values()}
    bare = [name for name, classes in inner.items() if not classes]
    if bare and (config.layout == "splits" or len(bare) < len(inner)):
        raise DataError(
            f"{config.root / bare[0]} has no folders; source.layout splits expects one a class, "
            f"such as {config.root / bare[0]}/good/part-0001.png"
        )
    if bare or not splits:
        return [("", home) for home in there]
    return [(s, f"{splits[s]}/{home}") for s in SPLITS if s in splits for home in inner[splits[s]]]


def _splits(config: Config, there: list[str]) -> dict[str, str]:
    """The folder of each split; none where the layout is auto and these are classes.

    Raises:
        DataError: the folders are neither exactly splits nor, with layout auto, without any.
    """
    found: dict[str, str] = {}
    others = []
    for name in there:
        split = _SPELLINGS.get(name.lower(), name.lower())
        if split not in SPLITS:
            others.append(name)
        elif found.setdefault(split, name) != name:
            raise DataError(
                f"{config.root} holds {found[split]} and {name}, both of which mean {split}; put "
                "the images of both in one, or set source.layout: classes"
            )
    if {"train", "test"} <= set(found) and not others:
        return found
    if config.layout == "splits":
        raise DataError(
            f"{config.root} holds {', '.join(there)}; source.layout splits expects exactly "
            "train, val and test, or train and test; move what is there or set layout: classes"
        )
    if "train" in found and len(found) > 1:
        wrong = f"but holds {', '.join(others)} too; move it" if others else "without test; add it"
        raise DataError(
            f"{config.root} with {', '.join(found.values())} looks like a split {wrong}, or set "
            "source.layout: classes"
        )
    return {}


def _only_holds_folders(home: Place) -> bool:
    inner, loose = entries(home)
    return bool(inner) and not any(PurePosixPath(p).suffix.lower() in SUFFIXES for p in loose)


def recognise(tree: Tree) -> Recognition | None:
    """Two or more folders with images whose names can be those of classes, or one of good parts.

    Raises:
        DataError: images have a file of annotations each, which would not be read.
    """
    if not tree.folders:
        return None
    config = Config(type="folder", root=tree.home)
    homes = [
        (split, home) for split, home in _homes(config, PassedOver()) if tree.images_below(home)
    ]
    names = list(dict.fromkeys(PurePosixPath(home).name for _, home in homes))
    unfit = [n for n in names if n.lower() in NOT_CLASSES or n.lower() in {*SPLITS, *_SPELLINGS}]
    if unfit or not names or (len(names) == 1 and not is_good(names[0])):
        return None
    stems = {path.with_suffix("") for path in tree.images}
    beside = [path for path in tree.ending(*ANNOTATIONS) if path.with_suffix("") in stems]
    if 2 * len(beside) >= len(tree.images):
        raise DataError(
            f"{tree.home} has {len(beside)} annotation(s) beside images, such as "
            f"{printable(str(beside[0]))}, of a format that is not known; name the layout with "
            "--type or as source.type in ingest.yaml: type folder takes the folders as classes"
        )
    splits = list(dict.fromkeys(split for split, _ in homes if split))
    inside = f" in each of {', '.join(splits)}" if splits else ""
    if len(names) == 1:
        return Recognition(config, f"one folder of good parts{inside}: {printable(names[0])}")
    return Recognition(config, f"one folder a class{inside}: {', '.join(map(printable, names))}")
