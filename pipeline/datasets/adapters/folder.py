"""A folder for each class: `<root>/<class>/**/<image>` or `<root>/<split>/<class>/**/<image>`."""

from __future__ import annotations

import logging
from pathlib import PurePosixPath
from typing import Literal

from pydantic import Field

from pipeline.contracts.sample import SPLITS, Sample
from pipeline.datasets.adapters._files import KNOWN, folders, images
from pipeline.datasets.location import Location, Place, is_folder, opened
from pipeline.errors import DataError
from pipeline.plugins import PluginConfig

log = logging.getLogger(__name__)


class Config(PluginConfig):
    """Where the class folders are."""

    type: Literal["folder"]
    root: Location = Field(description="The folder that holds one folder a class, or one a split.")
    layout: Literal["auto", "classes", "splits"] = Field(
        "auto",
        description="classes: one folder a class. splits: train, test and perhaps val, with one "
        "folder a class in each; that split is kept. auto: splits where the root holds exactly "
        "those folders with folders in them, else classes.",
    )


def root(config: Config) -> Place:
    """The configured folder."""
    return opened(config.root)


def read(config: Config) -> list[Sample]:
    """All images below the class folders, in name order, split by split where splits are given.

    Raises:
        DataError: the folder is missing, has no class folders or no images, or images outside of
            them, a class has none but other files, or it is not laid out as `layout` says.
    """
    if not is_folder(root(config)):
        raise DataError(
            f"{config.root} is not a folder (source.root in ingest.yaml); expected one folder a "
            f"class, such as {config.root}/good/part-0001.png"
        )
    homes = _homes(config)
    found = [(split, home, images(config.root, home)) for split, home in homes]
    empty = ", ".join(home for _, home, paths in found if not paths)
    if not any(paths for _, _, paths in found):
        raise DataError(f"{config.root} has class folders ({empty}) but no image in them; {KNOWN}")
    if empty:
        log.warning("%s: no image in %s", config.root, empty)
    return [
        Sample(
            id=path.as_posix(),
            path=path.as_posix(),
            label=PurePosixPath(home).name,
            group=path.as_posix(),
            split=split,
        )
        for split, home, paths in found
        for path in paths
    ]


def _homes(config: Config) -> list[tuple[str, str]]:
    """The split ("" when none is given) and the folder of each class, as a path in the root."""
    there = folders(config.root)
    if not there:
        raise DataError(f"{config.root} has no folders; expected one a class, named like the class")
    if config.layout == "classes":
        return [("", home) for home in there]
    names = set(there)
    are_splits = {"train", "test"} <= names <= set(SPLITS)
    homes = [
        (s, f"{s}/{home}")
        for s in SPLITS
        if are_splits and s in names
        for home in folders(config.root / s)
    ]
    bare = names - {split for split, _ in homes}
    if are_splits and not bare:
        return homes
    if config.layout == "auto":
        return [("", home) for home in there]
    if are_splits:
        raise DataError(
            f"{config.root / min(bare)} has no folders; source.layout splits expects one a class, "
            f"such as {config.root / min(bare)}/good/part-0001.png"
        )
    raise DataError(
        f"{config.root} holds {', '.join(sorted(names))}; source.layout splits expects exactly "
        "train, val and test, or train and test; move what is there or set layout: classes"
    )
