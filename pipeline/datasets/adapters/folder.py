"""A folder for each class: `<root>/<class>/**/<image>`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PlainSerializer

from pipeline.contracts.sample import Sample
from pipeline.errors import DataError
from pipeline.imaging.codec import SUFFIXES
from pipeline.plugins import PluginConfig


class Config(PluginConfig):
    """Where the class folders are."""

    type: Literal["folder"]
    root: Path = Field(description="The folder that holds one folder a class.")
    group_pattern: Annotated[re.Pattern[str], PlainSerializer(lambda p: p.pattern)] | None = Field(
        None,
        description="Regular expression found in the path; images for which it (or its first "
        "parenthesis) reads the same show one part. None: each image is a part of its own.",
    )


def root(config: Config) -> Path:
    """The configured folder."""
    return config.root


def read(config: Config) -> list[Sample]:
    """All images below the class folders, in name order.

    Raises:
        DataError: the folder is missing, has no class folders or no images, or an image's path does
            not match `group_pattern`.
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
        Sample(path.as_posix(), path.as_posix(), home.name, _group(path, config.group_pattern))
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


def _group(path: Path, pattern: re.Pattern[str] | None) -> str:
    if pattern is None:
        return path.as_posix()
    found = pattern.search(path.as_posix())
    if found is None:
        raise DataError(
            f"{path} does not match source.group_pattern {pattern.pattern} in ingest.yaml, so "
            "nothing says which part it shows"
        )
    return found[1] if pattern.groups else found[0]
