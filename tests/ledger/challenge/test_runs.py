"""Challenge runs in the ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.contracts.challenge import KnownPart
from pipeline.contracts.records import ChallengePart, Record, Verdict
from pipeline.ledger.challenge.runs import (
    Cause,
    ChallengeRun,
    RunOpen,
    add_cause,
    begin,
    causes_after,
    end,
    open_run,
    recent,
    records_of,
    run,
    take_up,
)
from pipeline.ledger.database import connected
from pipeline.ledger.ledger import Ledger

AT = datetime(2026, 11, 28, 6, 0, tzinfo=UTC)
PARTS = (KnownPart("RR-1", None, "crack", "top"), KnownPart("G-1", Verdict.PASS))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(tmp_path / "ledger.sqlite", "west-1")) as opened:
        yield opened


def begun(ledger: Ledger, by: str = "anna") -> ChallengeRun:
    with ledger.writing() as db:
        return begin(db, AT, by, PARTS, 900)


def ended(ledger: Ledger, passed: bool) -> int:
    found = begun(ledger)
    with ledger.writing() as db:
        end(db, found.id, AT, 12.0, passed, "" if passed else "RR-1: PASS")
    return found.id


def test_a_run_is_read_as_it_was_begun(ledger: Ledger) -> None:
    first = begun(ledger)
    with ledger.writing() as db:
        take_up(db, first.id, 3.5, "cells/3")
    with ledger.reading() as db:
        found = open_run(db)
    assert found is not None
    assert found.open
    assert (found.id, found.started_by, found.started_s) == (first.id, "anna", 3.5)
    assert (found.parts, found.within_s, found.model_version) == (PARTS, 900, "cells/3")


def test_of_two_people_who_start_at_once_one_is_refused(ledger: Ledger) -> None:
    def start(by: str) -> str:
        try:
            with connected(ledger.path, "runs", "west-1", write=True) as db:
                return begin(db, AT, by, PARTS, 900).started_by
        except RunOpen as error:
            return str(error)

    with ThreadPoolExecutor(2) as people:
        answers = list(people.map(start, ("anna", "ben")))
    (one,) = [a for a in answers if a in ("anna", "ben")]
    (other,) = [a for a in answers if a != one]
    assert other.startswith(f"challenge run 1 of {one} is open; present its parts")


def test_a_run_that_has_ended_makes_room_for_another(ledger: Ledger) -> None:
    first = ended(ledger, passed=False)
    second = begun(ledger)
    assert second.id == first + 1


def test_a_run_that_has_ended_is_final(ledger: Ledger) -> None:
    ended(ledger, passed=False)
    with closing(sqlite3.connect(ledger.path)) as db:
        with pytest.raises(sqlite3.IntegrityError, match="has ended already"):
            db.execute("UPDATE challenge_runs SET passed = 1")
        with pytest.raises(sqlite3.IntegrityError, match="not removed"):
            db.execute("DELETE FROM challenge_runs")


def test_the_last_runs_come_first_and_by_their_result(ledger: Ledger) -> None:
    first, second, third = (ended(ledger, passed) for passed in (True, False, True))
    begun(ledger)
    with ledger.reading() as db:
        assert [r.id for r in recent(db, 10)] == [third, second, first]
        assert [r.id for r in recent(db, 1, passed=True)] == [third]
        assert [r.reason for r in recent(db, 10, passed=False)] == ["RR-1: PASS"]


def test_there_is_no_run_of_an_unknown_number(ledger: Ledger) -> None:
    with ledger.reading() as db:
        assert run(db, 7) is None


def test_the_records_of_a_run_bear_which_part_they_are_of(ledger: Ledger) -> None:
    begun(ledger)
    for serial, part in (("RR-1", 0), ("G-1", 1), ("RR-1", None)):
        identity = ledger.open_record(AT, serial, "top", ChallengePart(1, part))
        record = Record(identity, "west-1", AT.isoformat(), serial, Verdict.FAIL, "")
        ledger.close_record(record)
    ledger.open_record(AT, "G-1", "top", ChallengePart(1, 1))  # at work
    with ledger.reading() as db:
        found = [(part, r.serial) for part, r in records_of(db, 1, "west-1")]
    assert found == [(0, "RR-1"), (1, "G-1"), (None, "RR-1")]


def test_causes_after_a_moment_come_in_the_order_of_time(ledger: Ledger) -> None:
    for kind, detail, at_s in (("model", "cells/2", 5.0), ("start", "", 7.0), ("start", "", 9.0)):
        with ledger.writing() as db:
            add_cause(db, Cause(kind, detail, AT.isoformat(), at_s))
    with ledger.reading() as db:
        assert [(c.kind, c.at_s) for c in causes_after(db, 0)] == [
            ("model", 5.0),
            ("start", 7.0),
            ("start", 9.0),
        ]
        assert [(c.kind, c.at_s) for c in causes_after(db, 7.0)] == [("start", 9.0)]
