"""Records as a file: CSV for spreadsheets, JSON Lines for programs, streamed however many."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Sequence

from pipeline.contracts.records import Record
from pipeline.daemon.sinks import message
from pipeline.daemon.web.records import KeptRecords, aside
from pipeline.ledger.queries import RecordFilter

AT_ONCE = 1000  # records read together
COLUMNS = (
    *("id", "captured_at", "station", "camera", "serial", "verdict", "part_class"),
    *("defect_score", "reason", "model_version", "latency_ms", "frame_age_ms", "image", "kind"),
)
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what spreadsheets would compute
TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl; charset=utf-8"}


async def exported(archive: KeptRecords, wanted: RecordFilter, kind: str) -> AsyncIterator[bytes]:
    """All records that are wanted, newest first, some at a time.

    Each part is read for itself, so that no reader holds a state of the ledger for minutes.

    Args:
        archive: with the records.
        wanted: which.
        kind: a key of `TYPES`.
    """
    if kind == "csv":
        yield _lines([COLUMNS])
    before = ""
    while True:
        at = before
        found = await aside(lambda: archive.search(wanted, AT_ONCE, at))  # noqa: B023
        yield _csv(found.records) if kind == "csv" else _json_lines(found.records)
        before = found.before
        if not before:
            return


def _csv(records: Sequence[Record]) -> bytes:
    rows = [[getattr(record, column) for column in COLUMNS] for record in records]
    return _lines([[_cell(value) for value in row] for row in rows])


def _cell(value: object) -> object:
    """A value of a cell; text that a spreadsheet would take for a formula is marked as text."""
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return "" if value is None else value


def _lines(rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _json_lines(records: Sequence[Record]) -> bytes:
    lines = (json.dumps(message(record), ensure_ascii=False) + "\n" for record in records)
    return "".join(lines).encode("utf-8", "backslashreplace")
