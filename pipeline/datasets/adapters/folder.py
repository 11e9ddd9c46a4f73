"""A folder for each class: `<root>/<class>/**/<image>` or `<root>/<split>/<class>/**/<image>`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from pipeline.contracts.sample import SPLITS, Sample
from pipeline.datasets.adapters._files import folders, images
from pipeline.errors import DataError
from pipeline.imaging.codec import SUFFIXES
from pipeline.plugins import PluginConfig


class Config(PluginConfig):
    """Where the class folders are."""

    type: Literal["folder"]
    root: Path = Field(description="The folder that holds one folder a class, or one a split.")
    layout: Literal["auto", "classes", "splits"] = Field(
        "auto",
        description="classes: one folder a class. splits: train, test and perhaps val, with one "
        "folder a class in each; that split is kept. auto: splits where the root holds exactly "
        "those folders with folders in them, else classes.",
    )


def root(config: Config) -> Path:
    """The configured folder."""
    return config.root


def read(config: Config) -> list[Sample]:
    """All images below the class folders, in name order, split by split where splits are given.

    Raises:
        DataError: the folder is missing, has no class folders or no images, or is not laid out as
            `layout` says.
    """
    if not config.root.is_dir():
        raise DataError(
            f"{config.root} is not a folder (source.root in ingest.yaml); expected one folder a "
            f"class, such as {config.root}/good/part-0001.png"
        )
    homes = _homes(config)
    samples = [
        Sample(
            id=path.as_posix(),
            path=path.as_posix(),
            label=home.name,
            group=path.as_posix(),
            split=split,
        )
        for split, home in homes
        for path in images(home, config.root)
    ]
    if not samples:
        names = ", ".join(home.relative_to(config.root).as_posix() for _, home in homes)
        raise DataError(
            f"{config.root} has class folders ({names}) but no image in them; known endings: "
            f"{' '.join(sorted(SUFFIXES))}"
        )
    return samples


def _homes(config: Config) -> list[tuple[str, Path]]:
    """The split ("" when none is given) and the folder of each class."""
    there = folders(config.root)
    if not there:
        raise DataError(f"{config.root} has no folders; expected one a class, named like the class")
    if config.layout == "classes":
        return [("", home) for home in there]
    names = {p.name for p in there}
    are_splits = {"train", "test"} <= names <= set(SPLITS)
    homes = [(s, home) for s in SPLITS if s in names for home in folders(config.root / s)]
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
