"""A table of images: one row an image, with its path, its label and optional columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Literal

from pydantic import Field

from pipeline.contracts.sample import SPLITS, Sample
from pipeline.datasets.adapters._files import once
from pipeline.datasets.annotations.recognition import Recognition, Tree
from pipeline.datasets.listings.finder import Named, find
from pipeline.datasets.listings.listing import Listing
from pipeline.datasets.listings.policy import Unlisted, complete
from pipeline.datasets.location import Location, Place, content, opened
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
        description="The table: UTF-8, with the names of the columns in its first line."
    )
    root: Location | None = Field(
        None, description="The folder that paths are relative to. None: the folder of the table."
    )
    delimiter: str = Field(
        ",", min_length=1, max_length=1, description="Character that separates the columns."
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
    lines = _lines(config)
    if not lines:
        raise DataError(f"{config.file} is empty; expected a first line that names the columns")
    (_, header), *rows = lines
    cells = _positions(config, header)
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
            )
        )
    return complete(samples, found, config.unlisted, config.good, config.file, home)


def _lines(config: Config) -> list[tuple[int, list[str]]]:
    """Line number and cells of each line that is not blank, all as long as the first."""
    try:
        text = content(opened(config.file)).decode("utf-8-sig")
    except OSError as error:
        raise DataError(
            f"{config.file} (source.file in ingest.yaml) cannot be read: {error.strerror}; "
            "expected a CSV file with a column of paths and one of labels"
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{config.file} is not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from None
    table = io.StringIO(text, newline="")
    reader = csv.reader(table, delimiter=config.delimiter, strict=True)
    try:
        lines = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise DataError(f"{config.file}:{reader.line_num} is no CSV: {error}") from None
    for line, row in lines:
        if len(row) != len(lines[0][1]):
            raise DataError(
                f"{config.file}:{line} has {len(row)} cells; the first line names "
                f"{len(lines[0][1])} columns"
            )
    return lines


def _positions(config: Config, header: Sequence[str]) -> dict[str, int]:
    """Where each configured column stands, by what it means."""
    names = [name.strip() for name in header]
    found: dict[str, int] = {}
    for meaning, name in config.columns:
        if name is None:
            continue
        if names.count(name) != 1:
            fault = "more than one" if name in names else "no"
            only = f"; all in one: is source.delimiter {config.delimiter!r} right?"
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
        value = float(given)
    except ValueError:
        value = -1
    if not 0 <= value <= 1:
        raise DataError(f'{where} has defect probability "{given}"; expected 0 to 1, or nothing')
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
    text = tree.bytes(path).decode("utf-8", "replace")
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and lines[0].lower().startswith("sep="):
        del lines[0]
    if len(lines) < 2:
        return None
    delimiter = max(",;\t|", key=lines[0].count)
    head, *rows = csv.reader(lines, delimiter=delimiter)
    names = {image.name for image in tree.images}
    listing = [
        column
        for i, column in enumerate(head)
        if any(
            i < len(r) and PurePosixPath(r[i].strip().replace("\\", "/")).name in names
            for r in rows
        )
    ]
    if not listing or RUN_LENGTHS in (column.strip() for column in head):
        return None
    labels = [c for c in head if c.strip().lower() in LABELS and c not in listing[:1]]
    labels = labels or ([c for c in head if c not in listing[:1]] if len(head) == 2 else [])
    if len(labels) != 1:
        raise DataError(
            f"{tree.home / path.as_posix()} names images in its column {listing[0]}, but it is not "
            f"clear which of {', '.join(head)} is the class; describe it in ingest.yaml (source "
            "of type csv, columns.path and columns.label)"
        )
    columns = {"path": listing[0].strip(), "label": labels[0].strip()}
    columns |= {name: name for name in ("group", "split", "serial", "variant") if name in head}
    config = Config(
        type="csv",
        file=tree.home / path.as_posix(),
        delimiter=delimiter,
        columns=Columns.model_validate(columns),
    )
    return Recognition(
        config, f"{path} has images in column {columns['path']}, classes in {columns['label']}"
    )
