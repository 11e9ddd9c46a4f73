"""A folder for each class: `<root>/<class>/**/<image>`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from pipeline.contracts.sample import Sample
from pipeline.errors import DataError
from pipeline.imaging.codec import SUFFIXES
from pipeline.plugins import PluginConfig


class Config(PluginConfig):
    """Where the class folders are."""

    type: Literal["folder"]
    root: Path = Field(description="The folder that holds one folder a class.")


def root(config: Config) -> Path:
    """The configured folder."""
    return config.root


def read(config: Config) -> list[Sample]:
    """All images below the class folders, in name order; each image is its own group.

    Raises:
        DataError: the folder is missing, has no class folders or no images.
    """
    if not config.root.is_dir():
        raise DataError(
            f"{config.root} is not a folder (source.root in ingest.yaml); expected one folder a "
            f"class, such as {config.root}/good/part-0001.png"
        )
    classes = sorted(p for p in config.root.iterdir() if p.is_dir() and p.name[0] != ".")
    if not classes:
        raise DataError(f"{config.root} has no folders; expected one a class, named like the class")
    samples = [
        Sample(id=path.as_posix(), path=path.as_posix(), label=home.name, group=path.as_posix())
        for home in classes
        for path in sorted(p.relative_to(config.root) for p in home.rglob("*"))
        if path.suffix.lower() in SUFFIXES
    ]
    if not samples:
        raise DataError(
            f"{config.root} has class folders ({', '.join(p.name for p in classes)}) but no image "
            f"in them; known endings: {' '.join(sorted(SUFFIXES))}"
        )
    return samples
