"""Pascal VOC's XML: a file an image, beside it or in a folder of its own, as NEU-DET, GC10-DET and
LabelImg have it. `ImageSets/Main/<split>.txt`, or folders so called, give the split.

Everingham et al., IJCV 88 (2010).
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import PurePosixPath
from typing import Literal
from xml.etree.ElementTree import Element

from pydantic import Field

from pipeline.contracts.sample import Box, Sample
from pipeline.datasets.adapters._files import KNOWN, once
from pipeline.datasets.annotations import xml
from pipeline.datasets.annotations.classes import marked_sample, note
from pipeline.datasets.annotations.given_splits import given_splits, split_of
from pipeline.datasets.annotations.recognition import Recognition, Tree
from pipeline.datasets.listings.finder import Found
from pipeline.datasets.listings.listing import Listing, some
from pipeline.datasets.listings.policy import Unlisted, complete
from pipeline.datasets.location import Location, Place, is_folder, opened
from pipeline.errors import DataError
from pipeline.plugins import PluginConfig

_SIDES = ("xmin", "ymin", "xmax", "ymax")


class Config(PluginConfig):
    """Where the data set is."""

    type: Literal["voc"]
    root: Location = Field(description="The folder that holds the images and the XML files.")
    good: str = Field("good", min_length=1, description="Label of images without an object.")
    unlisted: Unlisted = None


def root(config: Config) -> Place:
    """The configured folder."""
    return opened(config.root)


def read(config: Config) -> Listing:
    """The images that have an XML file, in the order of these files.

    Raises:
        DataError: the folder is missing or has no such files, one cannot be used, fits no image
            or several, or two are of one image.
    """
    home = root(config)
    if not is_folder(home):
        raise DataError(f"{home} is not a folder (source.root in ingest.yaml)")
    tree = Tree(home)
    documents = _documents(tree)
    if not documents or not tree.images:
        what = "XML file of Pascal VOC's form" if tree.images else f"image; {KNOWN}"
        raise DataError(f"{home} has no {what}")
    paths = _pair(tree, documents)
    sides, seen = _splits(tree, paths), dict[str, str]()
    samples: list[Sample] = []
    flat: list[str] = []
    for (file, document), path, (split, folder) in zip(
        documents.items(), paths, sides, strict=True
    ):
        where = f"{home}/{file}"
        once(seen, str(path), where)
        labels, boxes, empty = _objects(document, where)
        flat += [str(file)] * empty
        samples.append(marked_sample(path, labels, boxes, config.good, split, folder))
    notes = note(samples)
    if flat:
        notes.append(f"{len(flat)} box(es) without a size mark nothing: {some(flat, 3)}")
    unlisted = [str(path) for path in tree.images if str(path) not in seen]
    found = Found([], notes, unlisted, tree.passed_over)
    return complete(samples, found, config.unlisted, config.good, home / "*.xml", home)


def _documents(tree: Tree) -> dict[PurePosixPath, Element]:
    """The XML files of the form, parsed; others are left alone."""
    found = {}
    for path in tree.ending(".xml"):
        document = xml.parse(tree.bytes(path), f"{tree.home}/{path}")
        if document.tag == "annotation":
            found[path] = document
    return found


def _pair(tree: Tree, documents: dict[PurePosixPath, Element]) -> list[PurePosixPath]:
    """The image of each document: of its own name, else of the name that stands in it."""
    by_stem: dict[str, list[PurePosixPath]] = defaultdict(list)
    for path in tree.images:
        by_stem[path.stem].append(path)
    found, lost = [], []
    for file, document in documents.items():
        named = PurePosixPath(xml.text(document, "filename").replace("\\", "/"))
        candidates = by_stem.get(file.stem) or by_stem.get(named.stem) or by_stem.get(named.name)
        if not candidates:
            lost.append(str(file))
            continue
        near = [(_near(path, file), path.name == named.name, path) for path in candidates]
        best = max(rank for *rank, _ in near)
        fitting = [path for *rank, path in near if rank == best]
        if len(fitting) > 1:
            raise DataError(
                f"{tree.home}/{file} fits {len(fitting)} images: {some(list(map(str, fitting)), 3)}"
                "; give each image a name of its own, or put its XML file beside it"
            )
        found.append(fitting[0])
    if lost:
        raise DataError(
            f"{tree.home} has {len(lost)} XML file(s) without an image: {some(lost, 3)}; rename "
            "the image or its XML file, or remove it"
        )
    return found


def _near(image: PurePosixPath, file: PurePosixPath) -> int:
    """How many folders two files share, from the root on; their own splits count most."""
    shared = 0
    for one, other in zip(image.parent.parts, file.parent.parts, strict=False):
        if one != other:
            break
        shared += 1
    inner, outer = image.parent.parts[shared:], file.parent.parts[shared:]
    return 2 * shared + len({*map(split_of, inner)} & {*map(split_of, outer)} - {""})


def _splits(tree: Tree, paths: list[PurePosixPath]) -> list[tuple[str, str]]:
    """The split of each image and the folder that gives it."""
    sets = {p.stem: p for p in tree.ending(".txt") if p.parts[-3:-1] == ("ImageSets", "Main")}
    of: dict[str, str] = {}
    # trainval last: it has what train and val have.
    for name in filter(sets.__contains__, ("train", "val", "test", "trainval")):
        for line in tree.bytes(sets[name]).decode("utf-8", "replace").splitlines():
            if line.strip():
                of.setdefault(line.split()[0], name.removesuffix("val") or name)
    if len(set(of.values())) > 1:
        return [(of.get(path.stem, ""), "") for path in paths]
    return given_splits(paths)


def _objects(document: Element, where: str) -> tuple[list[str], list[Box], int]:
    """The labels and boxes of all objects, and how many boxes have no size and mark nothing."""
    labels, boxes, flat = list[str](), list[Box](), 0
    for item in document.iter("object"):
        label = xml.text(item, "name")
        if not label:
            raise DataError(f"{where} has an object without a name; name its class")
        drawn = item.find("bndbox")
        if drawn is None:
            labels.append(label)  # an outline or a point marks it all the same
            continue
        left, top, right, bottom = xml.numbers(drawn, _SIDES, where)
        if left < right and top < bottom:
            labels.append(label)
            boxes.append(Box(label, left, top, right, bottom))
        else:
            flat += 1
    return labels, boxes, flat


def recognise(tree: Tree) -> Recognition | None:
    """XML files of the form, as many as half of the images at least."""
    candidates = tree.ending(".xml")
    if not candidates or 2 * len(candidates) < len(tree.images):
        return None
    first = xml.parse(tree.bytes(candidates[0]), f"{tree.home}/{candidates[0]}")
    if first.tag != "annotation":
        return None
    reason = f"{len(candidates)} XML files of Pascal VOC's form for {len(tree.images)} images"
    return Recognition(Config(type="voc", root=tree.home), reason)
