"""YOLO's layouts, as Ultralytics, Roboflow, CVAT and Label Studio write them.

Detection and segmentation: `images/…/a.jpg` has `labels/…/a.txt` (or a.txt beside it), with a line
an object: the number of its class, then centre, width and height, or the corners of its outline,
as shares of the picture's sides. `data.yaml` names classes and folders. Classification: folders
`train/<class>` and `val/<class>`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, Literal

from pydantic import Field

from pipeline.contracts.sample import SPLITS, Box, Sample
from pipeline.datasets.annotations.class_names import LISTS, class_names, description
from pipeline.datasets.annotations.classes import marked_sample, note
from pipeline.datasets.annotations.given_splits import given_splits, split_of
from pipeline.datasets.annotations.originals import original
from pipeline.datasets.annotations.recognition import Recognition, Tree
from pipeline.datasets.listings.listing import Listing, some
from pipeline.datasets.location import Location, Place, is_folder, opened
from pipeline.errors import DataError, printable
from pipeline.plugins import PluginConfig

SLACK = 0.02  # tools write boxes that reach a little beyond the picture
Given = tuple[str, str]  # a split and the folder that gives it


class Config(PluginConfig):
    """Where the data set is."""

    type: Literal["yolo"]
    root: Location = Field(description="The folder that holds data.yaml, images and labels.")
    names: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="Names of the classes in the order of their numbers. None: as data.yaml, "
        "classes.txt or obj.names has them.",
    )
    good: str = Field("good", min_length=1, description="Label of images without an object.")
    missing_labels: Literal["good", "error", "ignore"] | None = Field(
        None,
        description="What an image without a file of labels counts as: a good part, an error, or "
        "nothing (ignore). None: a good part, as the format has it, but an error where others have "
        "an empty file, so that a file seems to be lost.",
    )


class _Layout:
    """What a tree holds, by the format's rules."""

    def __init__(self, config: Config, tree: Tree) -> None:
        self.tree = tree
        self._there = set(tree.files)
        self.description, self.file = description(tree)
        self.names = config.names or class_names(self.description, self.file, tree)

    def labels(self, image: PurePosixPath) -> PurePosixPath:
        """Where the labels of an image are, or would be."""
        parts = list(image.parent.parts)
        for i in reversed(range(len(parts))):
            if parts[i].lower() == "images":
                parts[i] = "labels" if parts[i] == "images" else "Labels"
                break
        return PurePosixPath(*parts, f"{image.stem}.txt")

    def has_labels(self, image: PurePosixPath) -> bool:
        return self.labels(image) in self._there

    def stray(self) -> list[str]:
        """Files of labels in a folder for them that belong to no image and are not empty."""
        known = {self.labels(image) for image in self.tree.images}
        mine = (p for p in self.tree.ending(".txt") if "labels" in map(str.lower, p.parts[:-1]))
        lost = (p for p in mine if p not in known and p.name not in LISTS)
        return [str(p) for p in lost if self.tree.bytes(p).strip()]

    def images(self) -> tuple[list[PurePosixPath], list[Given], list[str]]:
        """The images with their splits, and those in the tree that data.yaml leaves out."""
        entries = {s: v for s in SPLITS if (v := (self.description or {}).get(s))}
        if not entries:
            paths = list(self.tree.images)
            return paths, given_splits(paths), []
        splits: dict[PurePosixPath, str] = {}
        for split, entry in entries.items():
            for path in self._listed(entry):
                splits.setdefault(path, split)  # train before val before test
        paths = [path for path in self.tree.images if path in splits]
        left_out = [str(path) for path in self.tree.images if path not in splits]
        if not paths:
            raise DataError(
                f"{self.tree.home}/{self.file} names {', '.join(map(repr, entries.values()))}, of "
                "which none has an image there; write the folders relative to it"
            )
        if len(set(splits.values())) == 1:  # one folder for all: no split
            return paths, [("", "")] * len(paths), left_out
        return paths, [(splits[p], _folder_of_split(p)) for p in paths], left_out

    def _listed(self, entry: Any) -> Iterator[PurePosixPath]:
        """The images of a folder, or of a list of images, that data.yaml names."""
        for given in entry if isinstance(entry, list) else [entry]:
            for place in self._places(str(given)):
                if place in self._there and place.suffix == ".txt":
                    lines = self.tree.bytes(place).decode("utf-8", "replace").splitlines()
                    yield from self._listed([line.strip() for line in lines if line.strip()])
                    break
                found = [place] if place in self._there else self.tree.images_below(str(place))
                if found:
                    yield from found
                    break

    def _places(self, given: str) -> Iterator[PurePosixPath]:
        """What a path may mean here, on another machine than the one that it was written on."""
        assert self.description is not None
        full = f"{self.description.get('path', '')}/{given}".replace("\\", "/")
        for text in (f"{PurePosixPath(self.file).parent}/{given}", full):
            parts = [part for part in text.split("/") if part not in ("", ".", "..")]
            for i in range(len(parts)):
                yield PurePosixPath(*parts[i:])


def root(config: Config) -> Place:
    """The configured folder."""
    return opened(config.root)


def read(config: Config) -> Listing:
    """All images with what is marked in them, in name order.

    Raises:
        DataError: the folder is missing or not laid out like this, a line of labels cannot be
            used, or labels belong to no image.
    """
    home = root(config)
    if not is_folder(home):
        raise DataError(f"{home} is not a folder (source.root in ingest.yaml)")
    tree = Tree(home)
    layout = _Layout(config, tree)
    if not any(map(layout.has_labels, tree.images)):
        return _classification(tree)
    if layout.names is None:
        raise _nameless(tree)
    if stray := layout.stray():
        raise DataError(
            f"{home} has {len(stray)} file(s) of labels without an image: {some(stray, 3)}; "
            "without them a bad part counts as good: rename the image or its labels, or remove them"
        )
    return _detection(config, layout, layout.names)


def _detection(config: Config, layout: _Layout, names: tuple[str, ...]) -> Listing:
    tree, samples = layout.tree, list[Sample]()
    paths, splits, left_out = layout.images()
    empty: list[str] = []
    missing = [str(p) for p in paths if not layout.has_labels(p)]
    flat: list[str] = []
    for path, (split, folder) in zip(paths, splits, strict=True):
        boxes: list[Box] = []
        if layout.has_labels(path):
            file = layout.labels(path)
            for line, fields in _lines(tree, file):
                box = _box(fields, names, f"{tree.home / str(file)}:{line}")
                if box.left < box.right and box.top < box.bottom:
                    boxes.append(box)
                else:
                    flat.append(f"{file}:{line}")
            empty += [] if boxes else [str(path)]
        elif config.missing_labels == "ignore":
            continue
        samples.append(
            marked_sample(path, [box.label for box in boxes], boxes, config.good, split, folder)
        )
    _check_missing(config, tree.home, missing, empty)
    notes = note(samples)
    if flat:
        notes.append(f"{len(flat)} box(es) without a size mark nothing: {some(flat, 3)}")
    if missing:
        what = "left out" if config.missing_labels == "ignore" else f'"{config.good}"'
        notes.append(f"{len(missing)} image(s) without a file of labels are {what}")
    return Listing(samples, notes, tree.passed_over, left_out)


def _check_missing(config: Config, home: Place, missing: list[str], empty: list[str]) -> None:
    if not missing or config.missing_labels in ("good", "ignore"):
        return
    if config.missing_labels is None and not empty:
        return
    why = f", while {len(empty)} others have an empty one" if empty else ""
    raise DataError(
        f"{len(missing)} image(s) in {home} have no file of labels{why}: {some(missing, 3)}; add "
        f'it, or set source.missing_labels in ingest.yaml to good (they are "{config.good}") or '
        "ignore"
    )


def _classification(tree: Tree) -> Listing:
    """One folder a class in train, val and perhaps test."""
    splits = given_splits(tree.images)
    classes = [_class(path, folder) for path, (_, folder) in zip(tree.images, splits, strict=True)]
    if not all(classes):
        raise DataError(
            f"{tree.home} is not laid out as YOLO has it: none of {len(tree.images)} images has a "
            "file of labels, such as labels/a.txt for images/a.jpg, and they are not all in "
            "train/<class> and val/<class>"
        )
    rows = zip(tree.images, classes, splits, strict=True)
    samples = (
        Sample(str(path), str(path), name, original(path, folder), split=split)
        for path, name, (split, folder) in rows
    )
    return Listing(samples, passed_over=tree.passed_over)


def _class(image: PurePosixPath, folder: str) -> str:
    """The folder below that of the split; "" where the image is in none."""
    inner = image.parts[image.parts.index(folder) + 1 : -1] if folder else ()
    return inner[0] if inner else ""


def _lines(tree: Tree, file: PurePosixPath) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of each line that is not blank."""
    text = tree.bytes(file).decode("utf-8", "replace")
    for number, line in enumerate(text.splitlines(), 1):
        if fields := line.split():
            yield number, fields


def _box(fields: list[str], names: tuple[str, ...], where: str) -> Box:
    """An object of a line: its class, and the box around it."""
    try:
        number, *values = (float(field) for field in fields)
    except ValueError:
        raise DataError(f"{where} reads {printable(' '.join(fields)[:60])!r}; {_FORM}") from None
    if number not in range(len(names)):
        raise DataError(
            f"{where} has class {fields[0]}; there are {len(names)}, from 0 to {len(names) - 1}: "
            f"{', '.join(names)}"
        )
    if len(values) == 4:
        x, y, width, height = values
        sides = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    elif len(values) >= 6 and len(values) % 2 == 0:
        xs, ys = values[::2], values[1::2]
        sides = (min(xs), min(ys), max(xs), max(ys))
    else:
        raise DataError(f"{where} has {len(fields)} numbers; {_FORM}")
    if not all(-SLACK <= side <= 1 + SLACK for side in sides):
        raise DataError(
            f"{where} has a box that reaches outside the picture; sides are shares of the "
            "picture's own, 0 to 1, not pixels"
        )
    return Box(names[int(number)], *sides, relative=True)


_FORM = (
    "expected the number of a class, then x y width height, or three or more corners of an outline"
)


def _nameless(tree: Tree) -> DataError:
    return DataError(
        f"{tree.home} has labels in YOLO's form but nothing that names their classes: add "
        "data.yaml with `names: [scratch, dent]`, or set source.names in ingest.yaml"
    )


def _folder_of_split(path: PurePosixPath) -> str:
    return next((part for part in path.parts[:-1] if split_of(part)), "")


def recognise(tree: Tree) -> Recognition | None:
    """Files of labels for the images, or classes in train and val without test.

    Raises:
        DataError: nothing names the classes.
    """
    config = Config(type="yolo", root=tree.home)
    layout = _Layout(config, tree)
    n = sum(map(layout.has_labels, tree.images))
    if n and (layout.names is not None or 2 * n >= len(tree.images)):
        if not _is_yolo(layout):
            return None
        if layout.names is None:
            raise _nameless(tree)
        names = ", ".join(map(printable, layout.names))
        return Recognition(config, f"{n} of {len(tree.images)} images have YOLO labels of {names}")
    splits = given_splits(tree.images)
    classes = {_class(path, folder) for path, (_, folder) in zip(tree.images, splits, strict=True)}
    if "test" not in {split for split, _ in splits} and "" not in classes and len(classes) > 1:
        reason = f"one folder a class in train and val: {', '.join(sorted(classes))}"
        return Recognition(config, reason)
    return None


def _is_yolo(layout: _Layout) -> bool:
    """Has the first file of labels that is not empty lines of numbers?"""
    for image in layout.tree.images:
        if layout.has_labels(image):
            for _, fields in _lines(layout.tree, layout.labels(image)):
                return len(fields) >= 5 and all(_is_number(field) for field in fields)
    return True


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
