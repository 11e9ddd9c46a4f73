"""Counts of a range of numbers: in slices, over several files, each record once."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from pipeline.ledger.database import bring_up_to_date
from pipeline.ledger.queries import period
from pipeline.ledger.tally import MOST_GAPS, tally

ALWAYS = period(None, None)
RECORD = """
INSERT INTO records (seq, id, captured_at, serial, verdict, reason, camera, model_version)
VALUES (?, ?, '2026-11-22T12:00:00.000000+00:00', 'part', ?, 'takt exceeded: late', 'top',
        'cells/1')
"""
File = Callable[..., sqlite3.Connection]


@pytest.fixture
def file(tmp_path: Path) -> Iterator[File]:
    """Makes a file with records of these numbers."""
    with ExitStack() as stack:

        def made(numbers: Iterable[int], verdict: str = "PASS") -> sqlite3.Connection:
            path = tmp_path / f"{len(list(tmp_path.iterdir()))}.sqlite"
            db = stack.enter_context(closing(sqlite3.connect(path, isolation_level=None)))
            db.row_factory = sqlite3.Row
            bring_up_to_date(db, path, "west-1")
            db.execute("BEGIN")
            db.executemany(RECORD, [(n, f"id-{n:06}", verdict) for n in numbers])
            db.execute("COMMIT")
            return db

        yield made


def test_a_gap_across_two_slices_is_one_gap(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.ledger.tally.SLICE", 10)
    found = tally([file([1, 2, 3, 26, 27])], 1, 30, ALWAYS)
    assert found.gaps == [(4, 25), (28, 30)]
    assert found.missing == 25
    assert found.groups.total() == 5


def test_of_many_gaps_all_are_counted_and_the_first_are_named(file: File) -> None:
    found = tally([file(range(1, 1001, 2))], 1, 1000, ALWAYS)
    assert found.missing == 500
    assert len(found.gaps) == MOST_GAPS
    assert found.gaps[0] == (2, 2)


def test_a_record_in_two_files_counts_once_as_it_stands_in_the_first(file: File) -> None:
    found = tally([file([5, 6], "FAIL"), file(range(1, 6))], 1, 6, ALWAYS)
    assert found.missing == 0
    verdicts = {verdict: n for (verdict, *_), n in found.groups.items()}
    assert verdicts == {"FAIL": 2, "PASS": 4}


def test_reasons_are_counted_by_what_stands_before_the_colon(file: File) -> None:
    found = tally([file([1], "NOT_INSPECTED")], 1, 1, ALWAYS)
    assert found.groups == {("NOT_INSPECTED", "top", "cells/1", "takt exceeded", "part"): 1}


def test_shadow_verdicts_of_all_files_are_counted(file: File) -> None:
    first, second = file([2]), file([1])
    for db, record, verdict in ((first, "id-000002", "PASS"), (second, "id-000001", "FAIL")):
        db.execute(
            "INSERT INTO shadows (record, model_version, verdict, reason, part_class) "
            "VALUES (?, 'cells/2', ?, '', '')",
            (record, verdict),
        )
    found = tally([first, second], 1, 2, ALWAYS)
    assert (found.frames, found.disagreements) == ({"cells/2": 2}, {"cells/2": 1})
