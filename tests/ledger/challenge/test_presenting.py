"""Records of known parts: a kind of their own, in the account and outside the rates."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.contracts.challenge import KnownPart
from pipeline.contracts.records import ChallengePart, MissedTrigger, Record, RecordKind, Verdict
from pipeline.errors import DataError
from pipeline.ledger.audit import audit
from pipeline.ledger.challenge.runs import begin
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.outbox import Outbox
from pipeline.ledger.quality.counts import count_next, read_counts
from pipeline.ledger.queries import (
    RecordFilter,
    latest,
    reviewed_parts,
    search,
    verdicts_by_minute,
)
from pipeline.ledger.review.reviews import opened
from pipeline.ledger.review.waiting import waiting_parts, waiting_record
from pipeline.ledger.upkeep.archiving import archive

AT = datetime(2026, 10, 22, 12, 0, tzinfo=UTC)
PARTS = (KnownPart("RR-1", Verdict.FAIL), KnownPart("G-1", Verdict.PASS))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger with a sink and an open run."""
    with closing(Ledger(tmp_path / "ledger.sqlite", "west-1", {"mes": tuple(Verdict)})) as opened:
        with opened.writing() as db:
            begin(db, AT, "anna", PARTS, 900)
        yield opened


def judge(ledger: Ledger, serial: str, verdict: Verdict, presented: ChallengePart | None) -> Record:
    """A closed record, with a picture."""
    identity = ledger.open_record(AT, serial, "top", presented)
    record = Record(identity, "west-1", AT.isoformat(), serial, verdict, "", "good", camera="top")
    ledger.close_record(replace(record, scores={"good": 1.0}))
    ledger.note_image(identity, f"{identity}.png")
    return record


def test_the_record_of_a_known_part_is_of_a_kind_of_its_own(ledger: Ledger) -> None:
    judge(ledger, "7", Verdict.PASS, None)
    judge(ledger, "RR-1", Verdict.FAIL, ChallengePart(1, 0))
    assert [r.kind for r in ledger.records()] == [RecordKind.PART, RecordKind.CHALLENGE]


def test_known_parts_are_in_the_account_and_not_among_the_verdicts(ledger: Ledger) -> None:
    judge(ledger, "7", Verdict.PASS, None)
    judge(ledger, "RR-1", Verdict.FAIL, ChallengePart(1, 0))
    judge(ledger, "G-1", Verdict.PASS, ChallengePart(1, 1))
    account = ledger.account()
    assert (account.triggers, account.challenge, account.balances) == (3, 2, True)
    assert account.verdicts == dict.fromkeys(Verdict, 0) | {Verdict.PASS: 1}
    found = audit(ledger.path, "west-1", None, None)
    assert found.balances
    assert found.verdicts == dict.fromkeys(Verdict, 0) | {Verdict.PASS: 1}
    assert found.challenge == dict.fromkeys(Verdict, 0) | {Verdict.FAIL: 1, Verdict.PASS: 1}
    assert [j.verdicts[Verdict.FAIL] for j in found.judged] == [0]


def test_a_known_part_that_is_missing_is_missed_by_the_audit(ledger: Ledger) -> None:
    judge(ledger, "RR-1", Verdict.FAIL, ChallengePart(1, 0))
    judge(ledger, "G-1", Verdict.PASS, ChallengePart(1, 1))
    with closing(sqlite3.connect(ledger.path)) as db:
        db.execute("DELETE FROM records WHERE seq = 1")
        db.commit()
    assert not audit(ledger.path, "west-1", None, None).balances


def test_a_known_part_left_open_by_a_crash_stays_one(tmp_path: Path, ledger: Ledger) -> None:
    identity = ledger.open_record(AT, "RR-1", "top", ChallengePart(1, 0))
    ledger.close()
    with closing(Ledger(ledger.path, "west-1")) as again:
        (found,) = again.records()
        assert (found.id, found.verdict) == (identity, Verdict.NOT_INSPECTED)
        assert found.kind is RecordKind.CHALLENGE
        assert again.account().balances


def test_known_parts_that_came_while_nothing_could_be_written_stay_known_parts(
    ledger: Ledger,
) -> None:
    missed = [MissedTrigger(AT, "RR-1", "top", ChallengePart(1, 0)), MissedTrigger(AT, "7", "top")]
    closed = ledger.add_refused(missed, "ledger: disk full")
    assert [r.kind for r in closed] == [RecordKind.CHALLENGE, RecordKind.PART]
    assert [r.kind for r in ledger.records()] == [RecordKind.CHALLENGE, RecordKind.PART]
    assert (ledger.account().challenge, ledger.account().balances) == (1, True)


def test_the_kind_of_a_closed_record_is_final(ledger: Ledger) -> None:
    judge(ledger, "RR-1", Verdict.FAIL, ChallengePart(1, 0))
    with closing(sqlite3.connect(ledger.path)) as db, pytest.raises(sqlite3.IntegrityError):
        db.execute("UPDATE records SET kind = 'part'")


def test_rates_and_the_last_that_did_not_pass_leave_known_parts_out(ledger: Ledger) -> None:
    judge(ledger, "7", Verdict.FAIL, None)
    judge(ledger, "RR-1", Verdict.FAIL, ChallengePart(1, 0))
    with ledger.reading() as db:
        assert verdicts_by_minute(db, AT, 10) == [("2026-10-22T12:00", Verdict.FAIL, 1)]
        assert [r.serial for r in latest(db, "west-1", 10, Verdict.FAIL)] == ["7"]
        assert [r.serial for r in latest(db, "west-1", 10)] == ["7", "RR-1"]


def test_known_parts_are_found_by_their_kind(ledger: Ledger) -> None:
    judge(ledger, "7", Verdict.FAIL, None)
    judge(ledger, "RR-1", Verdict.FAIL, ChallengePart(1, 0))
    with ledger.reading() as db:
        for kind, serial in ((RecordKind.CHALLENGE, "RR-1"), (RecordKind.PART, "7")):
            found = search(db, "west-1", RecordFilter(kind=kind), 10)
            assert [r.serial for r in found.records] == [serial]


def test_known_parts_wait_for_no_review_and_training_does_not_see_them(ledger: Ledger) -> None:
    judge(ledger, "7", Verdict.FAIL, None)
    known = judge(ledger, "RR-1", Verdict.FAIL, ChallengePart(1, 0))
    with opened(ledger.path, "west-1") as reviews:
        assert [r.serial for r in reviews.waiting()] == ["7"]
        with pytest.raises(DataError, match="known part"):
            reviews.add(known.id, "good", "anna", "", AT)
    with closing(sqlite3.connect(ledger.path)) as db:  # as a ledger of another hand may have it
        db.execute(
            "INSERT INTO reviews (record, reviewed_at, reviewer, part_class) "
            "VALUES (?, '', '', 'good')",
            (known.id,),
        )
        db.commit()
    with ledger.reading() as db:
        assert reviewed_parts(db) == []
        assert waiting_record(db, "west-1", known.id, "ben") is None
        assert [part.seq for part in waiting_parts(db)] == [1]


def test_quality_counts_leave_known_parts_out(ledger: Ledger) -> None:
    judge(ledger, "7", Verdict.PASS, None)
    judge(ledger, "RR-1", Verdict.FAIL, ChallengePart(1, 0))
    assert count_next(ledger).done
    with ledger.reading() as db:
        found = read_counts(db, AT, AT + timedelta(hours=1))
    assert [(count.verdict, count.n) for count in found] == [(Verdict.PASS, 1)]


def test_known_parts_are_delivered_and_bear_their_kind(ledger: Ledger) -> None:
    judge(ledger, "RR-1", Verdict.FAIL, ChallengePart(1, 0))
    (entry,) = Outbox(ledger, "mes").due(10)
    assert entry.record.kind is RecordKind.CHALLENGE


def test_known_parts_are_not_archived(ledger: Ledger) -> None:
    for serial, presented in (("RR-1", ChallengePart(1, 0)), ("7", None)):
        identity = ledger.open_record(AT, serial, "top", presented)
        ledger.close_record(Record(identity, "west-1", AT.isoformat(), serial, Verdict.FAIL, ""))
    Outbox(ledger, "mes").delivered(Outbox(ledger, "mes").due(10))
    (month,) = archive(ledger.path, "west-1", AT + timedelta(days=60))
    assert (month.moved, month.left) == (1, 1)
    found = audit(ledger.path, "west-1", None, None)
    assert (found.balances, sum(found.challenge.values()), sum(found.verdicts.values())) == (
        *(True, 1, 1),
    )


def test_archives_from_before_there_were_known_parts_are_read(ledger: Ledger) -> None:
    identity = ledger.open_record(AT, "7", "top")
    ledger.close_record(Record(identity, "west-1", AT.isoformat(), "7", Verdict.PASS, ""))
    Outbox(ledger, "mes").delivered(Outbox(ledger, "mes").due(10))
    (month,) = archive(ledger.path, "west-1", AT + timedelta(days=60))
    with closing(sqlite3.connect(month.file)) as db:
        db.executescript("DROP TRIGGER records_are_final; ALTER TABLE records DROP COLUMN kind;")
    with closing(sqlite3.connect(ledger.path)) as db:
        db.execute("UPDATE archives SET sha256 = ''")
        db.commit()
    found = audit(ledger.path, "west-1", None, None)
    assert (found.balances, found.verdicts[Verdict.PASS]) == (True, 1)
    assert ledger.account().balances
