"""A table of images: one row an image, with its path, its label and optional columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Literal

from pydantic import Field

from pipeline.contracts.sample import SPLITS, Sample
from pipeline.datasets.adapters._files import once, source_file
from pipeline.datasets.annotations.recognition import Recognition, Tree
from pipeline.datasets.listings.finder import Named, find
from pipeline.datasets.listings.listing import Listing
from pipeline.datasets.listings.policy import Unlisted, complete
from pipeline.datasets.listings.table import Table, check_not_rounded, parse
from pipeline.datasets.location import Location, Place, opened
from pipeline.errors import DataError, choices
from pipeline.plugins import PluginConfig, Strict

# What others call the column of classes, in small letters.
LABELS = frozenset(
    {"label", "labels", "class", "class_name", "category", "defect", "type", "target"}
)
RUN_LENGTHS = "EncodedPixels"  # a table of masks


class Columns(Strict):
    """The names of the columns; None where the table has no such column."""

    path: str = Field(
        "path", description="Column with the path of the image, relative to the root or absolute."
    )
    label: str = Field("label", description="Column with the class, or an alias of it.")
    group: str | None = Field(
        None,
        description="Column with the group; rows with the same group are never split apart. "
        "None: no such column.",
    )
    split: str | None = Field(
        None, description="Column with the split to keep: train, val or test. None: no such column."
    )
    defect_probability: str | None = Field(
        None,
        description="Column with the annotator's belief that the part is defective, 0 to 1, or "
        "empty. None: no such column.",
    )
    weight: str | None = Field(
        None,
        description="Column with how much an image counts in the loss of training, above 0 to 1, "
        "or empty, which is 1. None: no such column.",
    )
    variant: str | None = Field(
        None, description="Column with the product variant. None: no such column."
    )
    serial: str | None = Field(
        None,
        description="Column with the part's serial number, which also gives the group unless a "
        "group column is named. None: no such column.",
    )


class Config(PluginConfig):
    """Where the table is and how to read it."""

    type: Literal["csv"]
    file: Location = Field(
        description="The table, as a spreadsheet saves it as CSV, with the names of the columns in "
        "its first line."
    )
    root: Location | None = Field(
        None, description="The folder that paths are relative to. None: the folder of the table."
    )
    delimiter: str | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="Character that separates the columns. None: the one of comma, semicolon, tab "
        "and bar by which the first line has the columns, or what a line `sep=` declares.",
    )
    columns: Columns = Field(Columns(), description="The names of the columns.")
    unlisted: Unlisted = None
    good: str = Field("good", min_length=1, description="Label that `unlisted: good` gives.")


def root(config: Config) -> Place:
    """The configured folder, or that of the table."""
    return opened(config.root or config.file.parent)


def read(config: Config) -> Listing:
    """All rows, in the table's order.

    The id is the serial number where each row has one of its own, else the path.

    Raises:
        DataError: the table is missing, is not a table, has no rows or lacks a column, or a row
            cannot be used; the message names the line.
    """
    table = _table_of(config)
    header, rows = table.header, table.rows
    cells = _positions(config, header, table.delimiter)
    if not rows:
        raise DataError(f"{config.file} has column names but no rows; expected one an image")
    serials = [row[cells["serial"]].strip() for _, row in rows] if "serial" in cells else []
    own_serials = len(set(serials)) == len(rows)
    samples: list[Sample] = []
    seen: dict[str, str] = {}
    home = root(config)
    named = [Named(row[cells["path"]], f"{config.file}:{line}") for line, row in rows]
    found = find(home, config.file, named)
    for (_, row), (_, where), path in zip(rows, named, found.paths, strict=True):
        given = {name: row[i].strip() for name, i in cells.items()}
        for name in ("label", "group", "serial"):
            if given.get(name) == "":
                raise DataError(f'{where} has nothing in column "{header[cells[name]]}"; fill it')
        for name in {"group", "serial"} & given.keys():
            check_not_rounded(given[name], header[cells[name]], where)
        once(seen, path, where)
        serial = given.get("serial", path)
        samples.append(
            Sample(
                id=serial if own_serials else path,
                path=path,
                label=given["label"],
                group=given.get("group", serial),
                variant=given.get("variant", ""),
                defect_probability=_probability(given.get("defect_probability", ""), where),
                split=_split(given["split"], where) if "split" in given else "",
                weight=_weight(given.get("weight", ""), where),
            )
        )
    listing = complete(samples, found, config.unlisted, config.good, config.file, home)
    listing.notes[:0] = table.notes
    return listing


def _table_of(config: Config) -> Table:
    data = source_file(config.file, "a CSV file with a column of paths and one of labels")
    columns = [name for _, name in config.columns if name is not None]
    return parse(data, str(config.file), columns, config.delimiter)


def _positions(config: Config, names: Sequence[str], delimiter: str) -> dict[str, int]:
    """Where each configured column stands, by what it means."""
    found: dict[str, int] = {}
    for meaning, name in config.columns:
        if name is None:
            continue
        if names.count(name) != 1:
            fault = "more than one" if name in names else "no"
            only = f"; all in one: is the delimiter {delimiter!r} right?"
            raise DataError(
                f'{config.file} has {fault} column "{name}" (source.columns.{meaning} in '
                f"ingest.yaml); {choices(name, names)}{only if len(names) == 1 else ''}"
            )
        found[meaning] = names.index(name)
    return found


def _probability(given: str, where: str) -> float | None:
    if not given:
        return None
    try:
        value = float(given.replace(",", "."))  # as a spreadsheet in many languages writes it
    except ValueError:
        value = -1
    if not 0 <= value <= 1:
        raise DataError(f'{where} has defect probability "{given}"; expected 0 to 1, or nothing')
    return value


def _weight(given: str, where: str) -> float:
    if not given:
        return 1.0
    try:
        value = float(given.replace(",", "."))
    except ValueError:
        value = -1
    if not 0 < value <= 1:
        raise DataError(f'{where} has weight "{given}"; expected above 0 to 1, or nothing')
    return value


def _split(given: str, where: str) -> str:
    if given not in SPLITS:
        raise DataError(f'{where} has split "{given}"; {choices(given, SPLITS)}')
    return given


def recognise(tree: Tree) -> Recognition | None:
    """One table in the folder of which a column names images that are there.

    Raises:
        DataError: it is not clear which column is the class.
    """
    found = [r for path in tree.ending(".csv", ".tsv", depth=0) if (r := _table(tree, path))]
    if len(found) > 1:
        tables = ", ".join(str(r.source.file) for r in found if isinstance(r.source, Config))
        raise DataError(
            f"{tree.home} has {len(found)} tables of images ({tables}); keep one of them"
        )
    return found[0] if found else None


def _table(tree: Tree, path: PurePosixPath) -> Recognition | None:
    data = tree.bytes(path)
    names = {image.name for image in tree.images}
    try:
        table = parse(data, str(tree.home / path.as_posix()))
    except DataError:
        if any(name.encode("utf-8", "surrogateescape") in data for name in names):
            raise
        return None  # a table of something else
    head, rows = table.header, [row for _, row in table.rows]
    listing = [
        column
        for i, column in enumerate(head)
        if any(PurePosixPath(r[i].strip().replace("\\", "/")).name in names for r in rows)
    ]
    if not listing or RUN_LENGTHS in head:
        return None
    labels = [c for c in head if c.lower() in LABELS and c not in listing[:1]]
    labels = labels or ([c for c in head if c not in listing[:1]] if len(head) == 2 else [])
    if len(labels) != 1:
        raise DataError(
            f"{tree.home / path.as_posix()} names images in its column {listing[0]}, but it is not "
            f"clear which of {', '.join(head)} is the class; describe it in ingest.yaml (source "
            "of type csv, columns.path and columns.label)"
        )
    columns = {"path": listing[0], "label": labels[0]}
    columns |= {name: name for name in ("group", "split", "serial", "variant") if name in head}
    config = Config(
        type="csv",
        file=tree.home / path.as_posix(),
        columns=Columns.model_validate(columns),
    )
    return Recognition(
        config, f"{path} has images in column {columns['path']}, classes in {columns['label']}"
    )
