"""Golden parts: those that no model may ever judge wrong, listed in data/<recipe>/golden.csv.

One column, `sample_id` (or the image's path below the data set's folder); a second, `class`, may
repeat what the part is, so that a list that no longer fits its data set is noticed.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd

from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets.listings.table import parse
from pipeline.errors import DataError

FILE = "golden.csv"
ID, CLASS = "sample_id", "class"


def read(path: Path, table: pd.DataFrame, taxonomy: Taxonomy) -> list[str]:
    """The sample ids that a list names, in its order; empty where the file does not exist.

    Args:
        path: the list.
        table: the data set, as `datasets.manifest` describes it.
        taxonomy: its classes.

    Raises:
        DataError: a line names no part, or one of another class; a column is missing.
    """
    if not path.is_file():
        return []
    known = dict(zip(table["path"], table["sample_id"], strict=True))
    known |= {name: name for name in table["sample_id"]}
    label_of = dict(zip(table["sample_id"], table["label"], strict=True))
    found: list[str] = []
    lines = parse(path.read_bytes(), str(path), [ID])
    columns = lines.header
    if columns not in ([ID], [ID, CLASS], [CLASS, ID]):
        raise DataError(
            f"{path}:1: the columns are {', '.join(columns)}; the first line must be {ID} or "
            f"{ID},{CLASS}"
        )
    for number, cells in lines.rows:
        line = dict(zip(columns, map(str.strip, cells), strict=True))
        where, name, given = f"{path}:{number}", line[ID], line.get(CLASS, "")
        if name not in known:
            raise DataError(
                f'{where}: "{name}" is not a part of the data set; give its sample_id or its '
                "path, as the manifest has them"
            )
        part = known[name]
        if given and _meant(given, taxonomy, where) != label_of[part]:
            raise DataError(
                f'{where}: "{name}" is called {given} here, in the data set {label_of[part]}; '
                "correct one of them"
            )
        found.append(part)
    return list(dict.fromkeys(found))


def _meant(given: str, taxonomy: Taxonomy, where: str) -> str:
    try:
        return taxonomy.names[taxonomy.index(given)]
    except DataError as error:
        raise DataError(f"{where}: {error}") from None


def write(folder: Path, sample_ids: list[str]) -> None:
    """Keep the list with the manifest, also an empty one."""
    with (folder / FILE).open("w", newline="", encoding="utf-8") as handle:
        lines = csv.writer(handle, lineterminator="\n")
        lines.writerow([ID])
        lines.writerows([name] for name in sample_ids)
