"""CVAT's own XML, "CVAT for images 1.1": `annotations.xml`, with the images in `images/`.

Boxes, outlines, ellipses, masks, points and tags all give a label; the first four a box too. The
subsets of a project are its split. https://docs.cvat.ai/docs/dataset_management/formats/format-cvat
"""

from __future__ import annotations

from math import cos, radians, sin
from pathlib import PurePosixPath
from typing import Literal
from xml.etree.ElementTree import Element

from pydantic import Field

from pipeline.contracts.sample import Box, Sample
from pipeline.datasets.adapters._files import once, source_file
from pipeline.datasets.annotations import xml
from pipeline.datasets.annotations.classes import marked_sample, note
from pipeline.datasets.annotations.given_splits import given_splits, split_of
from pipeline.datasets.annotations.recognition import Recognition, Tree
from pipeline.datasets.listings.finder import Named, find
from pipeline.datasets.listings.listing import Listing, some
from pipeline.datasets.listings.policy import Unlisted, complete
from pipeline.datasets.location import Location, Place, opened
from pipeline.errors import DataError
from pipeline.plugins import PluginConfig

Sides = tuple[float, float, float, float]


class Config(PluginConfig):
    """Where the annotations are."""

    type: Literal["cvat"]
    file: Location = Field(description="The file annotations.xml.")
    root: Location | None = Field(
        None, description="The folder that names are relative to. None: the folder of the file."
    )
    good: str = Field("good", min_length=1, description="Label of images without a shape or tag.")
    unlisted: Unlisted = None


def root(config: Config) -> Place:
    """The configured folder, or that of the annotations."""
    return opened(config.root or config.file.parent)


def read(config: Config) -> Listing:
    """All images, in the file's order.

    Raises:
        DataError: the file is missing, of another form or without images, names an image twice or
            one that is not in the root, or a shape cannot be used.
    """
    images = _images(config)
    home = root(config)
    named = [
        Named(image.get("name", ""), f"{config.file}: image {image.get('id', i)}")
        for i, image in enumerate(images)
    ]
    found = find(home, config.file, named)
    given = given_splits([PurePosixPath(path) for path in found.paths])
    subsets = [split_of(image.get("subset", "")) for image in images]
    samples: list[Sample] = []
    seen: dict[str, str] = {}
    flat: list[str] = []
    for i, (image, path) in enumerate(zip(images, found.paths, strict=True)):
        where = named[i].where
        once(seen, path, where)
        labels, boxes, empty = _marked(image, where)
        flat += [path] * empty
        split, folder = given[i]
        samples.append(
            marked_sample(
                *(PurePosixPath(path), labels, boxes, config.good),
                split=subsets[i] if any(subsets) else split,
                folder=folder,
            )
        )
    listing = complete(samples, found, config.unlisted, config.good, config.file, home)
    listing.notes += note(samples)
    if flat:
        listing.notes.append(f"{len(flat)} shape(s) without a size mark nothing: {some(flat, 3)}")
    return listing


def _images(config: Config) -> list[Element]:
    data = source_file(config.file, "annotations.xml as CVAT exports it")
    document = xml.parse(data, str(config.file))
    images = document.findall("image")
    if document.tag != "annotations" or not images:
        video = document.find("track") is not None
        raise DataError(
            f"{config.file} has {'tracks of a video' if video else 'no images'}; export it from "
            'CVAT as "CVAT for images 1.1"'
        )
    return images


def _marked(image: Element, where: str) -> tuple[list[str], list[Box], int]:
    """The labels and boxes of all that is marked, and how many shapes have no size."""
    labels, boxes, flat = list[str](), list[Box](), 0
    for shape in image:
        label = shape.get("label")
        if label is None:
            continue
        sides = _sides(shape, where)
        if sides is None:
            labels.append(label)
        elif sides[0] < sides[2] and sides[1] < sides[3]:
            labels.append(label)
            boxes.append(Box(label, *sides))
        else:
            flat += 1
    return labels, boxes, flat


def _sides(shape: Element, where: str) -> Sides | None:
    """Left, top, right and bottom of a shape in pixels; None where it has no extent of its own."""
    match shape.tag:
        case "box":
            left, top, right, bottom = xml.numbers(shape, ("xtl", "ytl", "xbr", "ybr"), where)
            (turn,) = (
                xml.numbers(shape, ("rotation",), where) if "rotation" in shape.attrib else (0,)
            )
            return _turned((left + right) / 2, (top + bottom) / 2, right - left, bottom - top, turn)
        case "ellipse":
            x, y, rx, ry = xml.numbers(shape, ("cx", "cy", "rx", "ry"), where)
            return x - rx, y - ry, x + rx, y + ry
        case "mask":
            left, top, width, height = xml.numbers(shape, ("left", "top", "width", "height"), where)
            return left, top, left + width, top + height
        case "polygon" | "polyline":
            return _around(shape.get("points", ""), f"{where}: <{shape.tag}>")
    return None


def _turned(x: float, y: float, width: float, height: float, turn_deg: float) -> Sides:
    """The box around one that is turned about its centre."""
    c, s = abs(cos(radians(turn_deg))), abs(sin(radians(turn_deg)))
    half_x, half_y = (width * c + height * s) / 2, (width * s + height * c) / 2
    return x - half_x, y - half_y, x + half_x, y + half_y


def _around(points: str, where: str) -> Sides:
    try:
        xs, ys = zip(*(map(float, point.split(",")) for point in points.split(";")), strict=True)
        return min(xs), min(ys), max(xs), max(ys)
    except ValueError:
        raise DataError(
            f"{where} has points {points[:40]!r}; expected x,y pairs such as 1.5,2;3,4;5,6"
        ) from None


def recognise(tree: Tree) -> Recognition | None:
    """One `annotations.xml` with images in it.

    Raises:
        DataError: it is of a video.
    """
    files = [path for path in tree.ending(".xml", depth=1) if path.name == "annotations.xml"]
    if len(files) != 1:
        return None
    place = tree.home / files[0].as_posix()
    beside = (files[0].parent / "images").as_posix()
    config = Config(
        type="cvat",
        file=place,
        root=place.parent / "images" if tree.images_below(beside) else None,
    )
    n = len(_images(config))
    return Recognition(config, f"{files[0]} has CVAT's annotations of {n} images")
