"""A table of defect masks as run lengths, as Severstal's steel data set and others on Kaggle have.

Columns `ImageId`, `ClassId` and `EncodedPixels`, a row a defect: pairs of first pixel (from 1) and
length, down the columns of the picture. Older tables have `ImageId_ClassId` in one column.
"""

from __future__ import annotations

import csv
import io
from pathlib import PurePosixPath
from typing import Literal, NamedTuple

from pydantic import Field

from pipeline.contracts.sample import Sample
from pipeline.datasets.adapters._files import source_file
from pipeline.datasets.annotations.classes import note, provisional
from pipeline.datasets.annotations.defect_mask import runs
from pipeline.datasets.annotations.originals import original
from pipeline.datasets.annotations.recognition import Recognition, Tree
from pipeline.datasets.listings.finder import Named, find
from pipeline.datasets.listings.listing import Listing
from pipeline.datasets.listings.policy import Unlisted, complete
from pipeline.datasets.location import Location, Place, opened
from pipeline.errors import DataError
from pipeline.plugins import PluginConfig

IMAGE, CLASS, RUNS, BOTH = "ImageId", "ClassId", "EncodedPixels", "ImageId_ClassId"
NOTHING = ("", "-1", "nan")  # what stands for a mask of nothing


class Config(PluginConfig):
    """Where the table is."""

    type: Literal["rle"]
    file: Location = Field(description="The table with ImageId, ClassId and EncodedPixels.")
    root: Location | None = Field(
        None, description="The folder that images are in. None: the folder of the table."
    )
    good: str = Field("good", min_length=1, description="Label of images without a defect.")
    defective: str = Field(
        "defective", min_length=1, description="Label of defects where there is no ClassId."
    )
    unlisted: Unlisted = None


class _RunLengths(NamedTuple):
    label: str
    runs: str
    where: str


def root(config: Config) -> Place:
    """The configured folder, or that of the table."""
    return opened(config.root or config.file.parent)


def read(config: Config) -> Listing:
    """All images of the table, in the order in which it names them first.

    Raises:
        DataError: the table is missing, lacks a column or has no rows, or a row cannot be used; the
            message names the line.
    """
    images = _images(config)
    home = root(config)
    found = find(home, config.file, [Named(name, where) for name, (where, _) in images.items()])
    samples = []
    for path, (_, defects) in zip(found.paths, images.values(), strict=True):
        labels = tuple(defect.label for defect in defects)
        # All are checked on their own, so that the message has the line.
        mask = [runs([defect.runs], defect.where) and defect.runs for defect in defects]
        samples.append(
            Sample(
                id=path,
                path=path,
                label=provisional(labels) if labels else config.good,
                group=original(PurePosixPath(path)),
                mask=runs(mask, str(config.file)) if mask else "",
                labels=labels,
            )
        )
    listing = complete(samples, found, config.unlisted, config.good, config.file, home)
    listing.notes += note(samples)
    return listing


def _images(config: Config) -> dict[str, tuple[str, list[_RunLengths]]]:
    """For each image where the table names it first, and its defects."""
    data = source_file(config.file, f"a table with {IMAGE}, {CLASS} and {RUNS}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{config.file} is not UTF-8; save it as UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""))
    head = [name.strip() for name in next(reader, [])]
    if RUNS not in head or not {IMAGE, BOTH} & set(head):
        raise DataError(
            f"{config.file} has the columns {', '.join(head) or '(none)'}; expected {IMAGE}, "
            f"perhaps {CLASS}, and {RUNS}"
        )
    images: dict[str, tuple[str, list[_RunLengths]]] = {}
    for row in reader:
        where = f"{config.file}:{reader.line_num}"
        if not any(map(str.strip, row)):
            continue
        if len(row) != len(head):
            raise DataError(f"{where} has {len(row)} cells; the first line names {len(head)}")
        cells = dict(zip(head, map(str.strip, row), strict=True))
        name, label = _image_and_class(cells, config.defective)
        _, defects = images.setdefault(name, (where, []))
        if cells[RUNS].lower() not in NOTHING:
            if not label:
                raise DataError(f"{where} has a mask and nothing in {CLASS}; fill it")
            defects.append(_RunLengths(label, cells[RUNS], where))
    if not images:
        raise DataError(f"{config.file} has column names but no rows; expected one a defect")
    return images


def _image_and_class(cells: dict[str, str], defective: str) -> tuple[str, str]:
    if BOTH in cells:
        name, _, label = cells[BOTH].rpartition("_")
        return name, label
    # Spreadsheets and pandas write 3 as 3.0 where a cell is empty.
    return cells[IMAGE], cells.get(CLASS, defective).removesuffix(".0")


def recognise(tree: Tree) -> Recognition | None:
    """One table with run lengths, with the images that it names.

    Raises:
        DataError: none of its images is there.
    """
    tables = [p for p in tree.ending(".csv", depth=0) if RUNS.encode() in tree.bytes(p)[:1000]]
    named: dict[PurePosixPath, set[str]] = {}
    for path in tables:
        images = _images(Config(type="rle", file=tree.home / path.as_posix()))
        if any(defects for _, defects in images.values()):  # not a sample of a submission
            named[path] = {PurePosixPath(name).name for name in images}
    if len(named) != 1:
        return None
    ((table, names),) = named.items()
    homes = {path.parent for path in tree.images if path.name in names}
    place = tree.home / table.as_posix()
    if len(homes) != 1:
        raise DataError(
            f"{place} has run lengths of {len(names)} images, which are in {len(homes)} folders "
            "here; describe it in ingest.yaml (source of type rle, file and root)"
        )
    home = homes.pop()
    n = len(tree.images_below(home.as_posix()) if home.parts else tree.images)
    reason = f"{table} has run lengths of {len(names)} images"
    if n > len(names):
        reason += f"; it lists defects, so the other {n - len(names)} images in {home} are good"
    return Recognition(
        Config(
            type="rle",
            file=place,
            root=tree.home / home.as_posix() if home.parts else None,
            unlisted="good" if n > len(names) else None,
        ),
        reason,
    )
