"""The account of a station: every trigger once, with one verdict, whatever happens."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.contracts.records import Record, Verdict
from pipeline.errors import LedgerError
from pipeline.ledger.ledger import Ledger, NotOpen

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def closed(identity: str, verdict: Verdict = Verdict.PASS, latency_ms: float = 7.5) -> Record:
    return Record(
        id=identity,
        station="west-1",
        captured_at=AT.isoformat(timespec="microseconds"),
        serial="part-1",
        verdict=verdict,
        reason="defect score 0.100 below pass limit 0.200",
        part_class="good",
        defect_score=0.1,
        scores={"good": 0.9, "defective": 0.1},
        model_version="cells/3",
        latency_ms=latency_ms,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "ledger.sqlite"


def test_record_is_read_back_as_it_was_closed(path: Path) -> None:
    ledger = Ledger(path, "west-1")
    record = closed(ledger.open_record(AT, "part-1"))
    ledger.close_record(record)
    assert list(ledger.records()) == [record]


def test_opened_record_is_there_for_others_before_it_is_closed(path: Path) -> None:
    ledger = Ledger(path, "west-1")
    ledger.open_record(AT, "part-1")
    other = sqlite3.connect(path)
    assert other.execute("SELECT serial, verdict FROM records").fetchall() == [("part-1", None)]


def test_record_cannot_be_closed_twice(path: Path) -> None:
    ledger = Ledger(path, "west-1")
    identity = ledger.open_record(AT, "part-1")
    ledger.close_record(closed(identity, Verdict.FAIL))
    with pytest.raises(NotOpen, match="closed already"):
        ledger.close_record(closed(identity, Verdict.PASS))
    assert [r.verdict for r in ledger.records()] == [Verdict.FAIL]


def test_record_that_was_never_opened_cannot_be_closed(path: Path) -> None:
    with pytest.raises(NotOpen, match="never opened"):
        Ledger(path, "west-1").close_record(closed("0199-none"))


def test_record_left_open_is_closed_as_not_inspected_at_the_next_start(path: Path) -> None:
    first = Ledger(path, "west-1")
    identity = first.open_record(AT, "part-1")
    first.close()
    second = Ledger(path, "west-1")
    (record,) = second.records()
    assert second.closed_at_start == 1
    assert (record.id, record.verdict) == (identity, Verdict.NOT_INSPECTED)
    assert (record.reason, record.latency_ms) == ("station restarted", None)


def test_account_balances_when_every_record_is_closed(path: Path) -> None:
    ledger = Ledger(path, "west-1")
    for verdict in (Verdict.PASS, Verdict.FAIL, Verdict.REVIEW, Verdict.NOT_INSPECTED):
        ledger.close_record(closed(ledger.open_record(AT, "part"), verdict))
    account = ledger.account()
    assert account.triggers == 4
    assert account.verdicts == dict.fromkeys(Verdict, 1)
    assert account.balances


def test_account_shows_an_open_record(path: Path) -> None:
    ledger = Ledger(path, "west-1")
    ledger.open_record(AT, "part-1")
    assert not ledger.account().balances


def test_account_shows_a_deleted_record(path: Path) -> None:
    ledger = Ledger(path, "west-1")
    for _ in range(3):
        ledger.close_record(closed(ledger.open_record(AT, "part")))
    with sqlite3.connect(path) as tampering:
        tampering.execute("DELETE FROM records WHERE seq = 3")
    assert ledger.account().triggers == 3
    assert not ledger.account().balances


def test_ids_grow_even_when_the_clock_is_set_back(path: Path) -> None:
    first = Ledger(path, "west-1")
    ids = [first.open_record(AT, "a"), first.open_record(AT, "b")]
    first.close()
    second = Ledger(path, "west-1")
    ids.append(second.open_record(AT - timedelta(days=365), "c"))
    assert ids == sorted(set(ids))


def test_image_is_noted_after_the_verdict_and_only_once(path: Path) -> None:
    ledger = Ledger(path, "west-1")
    identity = ledger.open_record(AT, "part-1")
    ledger.close_record(closed(identity, Verdict.FAIL))
    ledger.note_image(identity, "2026-11-22/a.png")
    with pytest.raises(LedgerError, match="has its image already"):
        ledger.note_image(identity, "2026-11-22/b.png")
    assert [(r.verdict, r.image) for r in ledger.records()] == [(Verdict.FAIL, "2026-11-22/a.png")]


def test_image_of_a_record_that_was_never_opened_cannot_be_noted(path: Path) -> None:
    with pytest.raises(LedgerError, match="never opened"):
        Ledger(path, "west-1").note_image("0199-none", "a.png")


def test_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LedgerError, match="cannot be used as a ledger"):
        Ledger(tmp_path / "file" / "ledger.sqlite", "west-1")


def test_text_that_is_not_unicode_is_refused_and_leaves_no_record(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite", "west-1")
    with pytest.raises(LedgerError, match="surrogates not allowed"):
        ledger.open_record(AT, "part-\udcfc")
    assert ledger.account().triggers == 0


def test_a_closed_ledger_is_one_file_and_answers_no_more(path: Path) -> None:
    ledger = Ledger(path, "west-1")
    ledger.open_record(AT, "part-1")
    ledger.account()
    ledger.close()
    assert not path.with_name(f"{path.name}-wal").exists()
    with pytest.raises(LedgerError, match="closed database"):
        ledger.account()


def test_a_verdict_outlives_a_power_cut_each_time(tmp_path: Path) -> None:
    full, normal = 2, 1
    with closing(Ledger(tmp_path / "ledger.sqlite", "west-1")) as ledger:
        for _ in range(2):
            with ledger.writing(safe=True) as db:
                assert db.execute("PRAGMA synchronous").fetchone()[0] == full
            with ledger.writing() as db:
                assert db.execute("PRAGMA synchronous").fetchone()[0] == normal
