"""Images with annotated objects in COCO's JSON: the gravest object decides the class of a part.

`coco_splits` reads several such files, one a split.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field

from pipeline.contracts.sample import Box, Sample
from pipeline.datasets.adapters._files import load, once
from pipeline.datasets.annotations.classes import marked_sample, note
from pipeline.datasets.annotations.given_splits import split_of
from pipeline.datasets.annotations.marks import Geometry, Id
from pipeline.datasets.annotations.recognition import Recognition, Tree
from pipeline.datasets.listings.finder import Named, find
from pipeline.datasets.listings.listing import Listing, some
from pipeline.datasets.listings.policy import Unlisted, complete
from pipeline.datasets.location import Location, Place, opened
from pipeline.errors import DataError, choices
from pipeline.plugins import PluginConfig

# What is marked in an image: the category, and the box around it where it has one.
Mark = tuple[str, Box | None]


def _no_name_twice(names: tuple[str, ...]) -> tuple[str, ...]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"stands twice: {', '.join(twice)}")
    return names


Severity = Annotated[
    Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_no_name_twice)] | None,
    Field(
        description="Categories from harmless to grave; the label of an image is the gravest of "
        "its categories. None: by `severity` in taxonomy.yaml."
    ),
]


class Config(PluginConfig):
    """Where the annotations are and which of them weighs most."""

    type: Literal["coco"]
    file: Location = Field(description="The JSON file with images, annotations and categories.")
    root: Location | None = Field(
        None, description="The folder that file_name is relative to. None: the folder of the file."
    )
    severity: Severity = None
    good: str = Field("good", min_length=1, description="Label of images without annotations.")
    unlisted: Unlisted = None


class _Image(BaseModel):
    id: Id
    file_name: str


class _Category(BaseModel):
    id: Id
    name: str


class _CocoAnnotation(Geometry):
    image_id: Id
    category_id: Id


class _CocoExport(BaseModel):
    images: list[_Image]
    annotations: list[_CocoAnnotation]
    categories: list[_Category]


def root(config: Config) -> Place:
    """The configured folder, or that of the annotations."""
    return opened(config.root or config.file.parent)


def read(config: Config) -> Listing:
    """All images, in the file's order.

    Raises:
        DataError: the file is missing, of another form or without images, names an image twice or
            one that is not in the root, an annotation has no image or category, or a category in
            use is missing in `severity`.
    """
    export = load(config.file, _CocoExport, "COCO's JSON with images, annotations and categories")
    if not export.images:
        raise DataError(f"{config.file} lists no images; export it with them")
    marked, home = _marked(config, export), root(config)
    named = [
        Named(image.file_name, f"{config.file}: images.{position}")
        for position, image in enumerate(export.images)
    ]
    found = find(home, config.file, named)
    samples: list[Sample] = []
    seen: dict[str, str] = {}
    known: set[int | str] = set()
    unmarked: list[str] = []
    for image, (_, where), path in zip(export.images, named, found.paths, strict=True):
        if image.id in known:
            raise DataError(f"{where} has id {image.id}, as an image before it; ids must differ")
        known.add(image.id)
        once(seen, path, where)
        marks = marked.get(image.id)
        if marks == []:
            unmarked.append(path)
        samples.append(_sample(config, path, marks or []))
    stray = sorted(str(i) for i in marked.keys() - known)
    if stray:
        raise DataError(
            f"{config.file} has annotations of images that it does not list: image_id "
            f"{', '.join(stray[:5])}; export both together"
        )
    listing = complete(samples, found, config.unlisted, config.good, config.file, home)
    if unmarked:
        listing.notes.append(
            f'{len(unmarked)} image(s) count as "{config.good}" although {config.file} has '
            "annotations of them: these mark nothing (no area, or iscrowd without a mask): "
            f"{some(unmarked)}"
        )
    listing.notes += note(samples)
    return listing


def _sample(config: Config, path: str, marks: list[Mark]) -> Sample:
    labels = [label for label, _ in marks]
    boxes = [box for _, box in marks if box is not None]
    sample = marked_sample(PurePosixPath(path), labels, boxes, config.good)
    if config.severity is not None and labels:
        return replace(sample, label=max(labels, key=config.severity.index), labels=())
    return sample


def _marked(config: Config, export: _CocoExport) -> dict[int | str, list[Mark]]:
    """What is marked in each image that has annotations."""
    names = {category.id: category.name for category in export.categories}
    marked: dict[int | str, list[Mark]] = {}
    for position, annotation in enumerate(export.annotations):
        where = f"{config.file}: annotations.{position}"
        name = names.get(annotation.category_id)
        if name is None:
            raise DataError(
                f"{where} has category_id {annotation.category_id}; "
                f"{choices(str(annotation.category_id), map(str, names))}"
            )
        marks = marked.setdefault(annotation.image_id, [])
        if not annotation.marks:
            continue
        if config.severity is not None and name not in config.severity:
            raise DataError(
                f'{where} is a "{name}", which source.severity in ingest.yaml does not rank; '
                f"{choices(name, config.severity)}, or add it in its place"
            )
        sides = annotation.sides
        marks.append((name, None if sides is None else Box(name, *sides)))
    if marked and not any(marked.values()):
        raise DataError(
            f"none of the {len(export.annotations)} annotations in {config.file} marks anything: "
            "each has an area, box and segmentation of no size; export them with their geometry"
        )
    return marked


def recognise(tree: Tree) -> Recognition | None:
    """One file of COCO's form in the folder, or in one of its folders.

    Raises:
        DataError: there are several, which are not of one split each.
    """
    exports = [path for path in tree.ending(".json", depth=1) if is_export(tree.json(path))]
    if len(exports) > 1 and not all(map(split_of_file, exports)):
        named = some(list(map(str, exports)))
        raise DataError(
            f"{tree.home} has {len(exports)} files of COCO's form: {named}; keep one, or "
            "name them like splits, such as train.json and test.json"
        )
    if len(exports) != 1:
        return None
    (file,) = exports
    export = tree.json(file)
    place = tree.home / file.as_posix()
    images = tree.home / image_folder(tree, file, export["images"])
    config = Config(
        type="coco",
        file=place,
        root=None if images == place.parent else images,
    )
    return Recognition(config, f"{file} has COCO's images, annotations and categories")


def split_of_file(path: PurePosixPath) -> str:
    """The split that a file's name has a word for, or else one of its folders; "" for none."""
    words = [word for word in re.split(r"[^A-Za-z0-9]+", path.stem) if word]
    return next(filter(None, map(split_of, [*reversed(words), *reversed(path.parts[:-1])])), "")


def is_export(content: Any) -> bool:
    """Has parsed JSON the lists of a COCO export?"""
    lists = ("images", "annotations", "categories")
    return isinstance(content, dict) and all(isinstance(content.get(key), list) for key in lists)


def image_folder(tree: Tree, file: PurePosixPath, images: list[Any]) -> str:
    """The folder of a tree that `file_name` is relative to: that of the file if nothing fits."""
    names = [str(image.get("file_name", "")) for image in images if isinstance(image, dict)]
    there = {path.as_posix() for path in tree.images}
    homes = dict.fromkeys([file.parent, PurePosixPath(), *(p.parent for p in tree.images)])
    for home in homes:
        if any((home / name).as_posix() in there for name in names):
            return home.as_posix()
    by_name = {PurePosixPath(name.replace("\\", "/")).name for name in names}
    fitting = [path.parent for path in tree.images if path.name in by_name]
    return (fitting[0] if fitting else file.parent).as_posix()
