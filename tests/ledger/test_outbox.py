"""Undelivered records: queued with the verdict, in order, until they are acknowledged."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.contracts.records import Record, Verdict
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.outbox import Outbox, depths, queue_again, revive
from pipeline.ledger.schema import APPLICATION_ID, STEPS

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger with an outbox for every verdict and one for FAIL alone."""
    outboxes = {"all": tuple(Verdict), "mes": (Verdict.FAIL,)}
    with closing(Ledger(tmp_path / "ledger.sqlite", "west-1", outboxes)) as opened:
        yield opened


def judge(ledger: Ledger, verdict: Verdict) -> str:
    identity = ledger.open_record(AT, "part")
    ledger.close_record(Record(identity, "west-1", AT.isoformat(), "part", verdict, ""))
    return identity


def test_a_sink_gets_entries_of_its_verdicts_in_the_order_of_closing(ledger: Ledger) -> None:
    made = [judge(ledger, v) for v in (Verdict.FAIL, Verdict.PASS, Verdict.FAIL)]
    assert [e.record.id for e in Outbox(ledger, "all").due(10)] == made
    assert [e.record.id for e in Outbox(ledger, "mes").due(10)] == [made[0], made[2]]


def test_an_open_record_has_no_entry(ledger: Ledger) -> None:
    ledger.open_record(AT, "part")
    assert Outbox(ledger, "all").due(10) == []


def test_what_was_delivered_is_due_no_more(ledger: Ledger) -> None:
    judge(ledger, Verdict.PASS)
    box = Outbox(ledger, "all")
    box.delivered(box.due(1))
    assert (box.due(10), box.depth()) == ([], (0, 0))


def test_what_failed_stays_due_with_its_reason(ledger: Ledger) -> None:
    judge(ledger, Verdict.PASS)
    box = Outbox(ledger, "all")
    box.failed(box.due(1), "receiver is down")
    (entry,) = box.due(10)
    assert (entry.attempts, entry.error) == (1, "receiver is down")


def test_a_dead_letter_is_kept_and_counted_apart(ledger: Ledger) -> None:
    judge(ledger, Verdict.FAIL)
    judge(ledger, Verdict.FAIL)
    box = Outbox(ledger, "mes")
    box.give_up(box.due(1), "refused")
    assert box.depth() == (1, 1)


def test_depths_name_other_sinks_only_where_they_are_asked_for(ledger: Ledger) -> None:
    judge(ledger, Verdict.FAIL)
    with ledger.reading() as db:
        assert depths(db, ["mes", "new"]) == {"mes": (1, 0), "new": (0, 0)}
        assert depths(db, ["new"], others=True) == {"new": (0, 0), "all": (1, 0), "mes": (1, 0)}


def test_the_depth_of_an_older_ledger_is_counted_when_it_is_brought_up_to_date(
    tmp_path: Path,
) -> None:
    path = tmp_path / "old.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(" ".join(STEPS[:3]))
        db.executescript(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 3;")
        db.execute("INSERT INTO station VALUES ('west-1')")
        rows = [("mes", 0), ("mes", 0), ("mes", 1), ("file", 1)]
        db.executemany("INSERT INTO outbox (sink, record, dead) VALUES (?, 'x', ?)", rows)
        db.commit()
    with closing(Ledger(path, "west-1")) as ledger, ledger.reading() as db:
        assert depths(db, [], others=True) == {"file": (0, 1), "mes": (2, 1)}


def test_the_depth_is_what_a_count_of_the_entries_would_be(tmp_path: Path) -> None:
    outboxes = {"mes": tuple(Verdict), "file": tuple(Verdict)}
    with closing(Ledger(tmp_path / "ledger.sqlite", "west-1", outboxes)) as ledger:
        for _ in range(5):
            judge(ledger, Verdict.FAIL)
        mes, file = Outbox(ledger, "mes"), Outbox(ledger, "file")
        mes.give_up(mes.due(2), "no")
        mes.failed(mes.due(3), "again")
        file.delivered(file.due(4))
        with ledger.writing() as db:
            revive(db, "mes", 1)
            queue_again(db, "file", ["x"], [])
        with ledger.reading() as db:
            counted = db.execute("SELECT sink, dead, count(*) FROM outbox GROUP BY 1, 2").fetchall()
            found = depths(db, list(outboxes))
    entries = {(sink, dead): n for sink, dead, n in counted}
    assert found == {s: (entries.get((s, 0), 0), entries.get((s, 1), 0)) for s in outboxes}
    assert found == {"mes": (4, 1), "file": (2, 0)}
