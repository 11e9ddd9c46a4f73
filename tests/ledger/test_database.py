"""The ledger's file: who may open it, its format, its lock, its size, queries beside the writer."""

from __future__ import annotations

import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.contracts.records import Verdict
from pipeline.errors import LedgerError
from pipeline.ledger.database import LedgerStatus
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.outbox import Outbox
from pipeline.ledger.schema import VERSION
from tests.ledger.test_ledger import AT, closed, path

__all__ = ["path"]


# What `sqlite3 .dump` says of a ledger of commit 339e819, the last one of format 1: one closed
# record and one that a crash left open.
VERSION_1 = """
PRAGMA application_id = 1282298724;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE records (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    captured_at TEXT NOT NULL,
    serial TEXT NOT NULL,
    verdict TEXT CHECK (verdict IN ('PASS', 'FAIL', 'REVIEW', 'NOT_INSPECTED')),
    reason TEXT NOT NULL DEFAULT '',
    part_class TEXT NOT NULL DEFAULT '',
    defect_score REAL,
    scores TEXT NOT NULL DEFAULT '{}',
    model_version TEXT NOT NULL DEFAULT '',
    latency_ms REAL
);
INSERT INTO "records" VALUES(1,'01a20320-a200-7000-bde5-5ed5262cdaa9',
'2026-11-22T12:00:00.000000+00:00','a_good.png','PASS','defect score 0.000 below pass limit 0.200',
'good',1.0e-05,'{"good": 0.99999, "defective": 1e-05}','cells/1',1.5);
INSERT INTO "records" VALUES(2,'01a20320-a200-7001-9ab3-fec24b512e03',
'2026-11-22T12:00:00.000000+00:00','b_bad.png',NULL,'','',NULL,'{}','',NULL);
CREATE TABLE station (name TEXT NOT NULL);
INSERT INTO "station" VALUES('west-1');
CREATE INDEX records_open ON records (seq) WHERE verdict IS NULL;
CREATE INDEX records_serial ON records (serial);
CREATE TRIGGER records_are_final BEFORE UPDATE ON records WHEN OLD.verdict IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'the record is closed already'); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('records',2);
COMMIT;
"""


def test_ledger_of_another_station_is_refused(path: Path) -> None:
    Ledger(path, "west-1").close()
    with pytest.raises(LedgerError, match='station "west-1", this is "east-2"'):
        Ledger(path, "east-2")


def test_ledger_in_use_is_refused(path: Path) -> None:
    ledger = Ledger(path, "west-1")
    identity = ledger.open_record(AT, "part-1")
    with pytest.raises(LedgerError, match="in use by another"):
        Ledger(path, "west-1")
    ledger.close_record(closed(identity))
    assert ledger.account().balances


def test_newer_format_is_refused(path: Path) -> None:
    Ledger(path, "west-1").close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 99")
    with pytest.raises(LedgerError, match=f"format 99, this Lineside writes {VERSION}"):
        Ledger(path, "west-1")


def dump_version_1(path: Path) -> None:
    """The ledger that an older Lineside left behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as db:
        db.executescript(VERSION_1)


def test_ledger_of_version_1_is_brought_up_to_date_with_all_it_holds(path: Path) -> None:
    dump_version_1(path)
    ledger = Ledger(path, "west-1")
    first, second = ledger.records()
    assert (first.serial, first.verdict, first.part_class) == ("a_good.png", Verdict.PASS, "good")
    assert first.scores == {"good": 0.99999, "defective": 1e-05}
    assert (second.serial, second.reason) == ("b_bad.png", "station restarted")
    assert (first.image, second.image) == ("", "")
    assert ledger.account().balances
    ledger.close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)


def test_ledger_of_version_1_becomes_what_a_new_one_is(path: Path, tmp_path: Path) -> None:
    dump_version_1(path)
    Ledger(path, "west-1").close()
    Ledger(tmp_path / "new.sqlite", "west-1").close()
    schemas = []
    for file in (path, tmp_path / "new.sqlite"):
        with closing(sqlite3.connect(file)) as db:
            rows = db.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
        # A dump writes names in quotes and loses comments.
        schemas.append([(n, re.sub(r'--.*|\s+|"', "", sql or "")) for n, sql in rows])
    assert schemas[0] == schemas[1]


def test_upgrade_that_fails_leaves_version_1_as_it_was(path: Path) -> None:
    dump_version_1(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE reviews (in_the_way INTEGER)")
    with pytest.raises(LedgerError, match="table reviews already exists"):
        Ledger(path, "west-1")
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        columns = [row[1] for row in db.execute("PRAGMA table_info(records)")]
    assert "image" not in columns


def test_text_file_is_refused_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to look at\n" * 20)
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="not a database"):
        Ledger(path, "west-1")
    assert path.read_bytes() == before


def test_other_sqlite_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE experiments (id INTEGER)")
    with pytest.raises(LedgerError, match="not a ledger"):
        Ledger(path, "west-1")


def test_queries_do_not_wait_for_a_writer(path: Path) -> None:
    ledger = Ledger(path, "west-1", {"mes": tuple(Verdict)})
    ledger.close_record(closed(ledger.open_record(AT, "part-1")))
    with ThreadPoolExecutor() as others, ledger.writing() as db:
        db.execute("DELETE FROM outbox")
        assert others.submit(Outbox(ledger, "mes").depth).result(10) == (1, 0)
        assert others.submit(ledger.account).result(10).triggers == 1
    assert Outbox(ledger, "mes").depth() == (0, 0)


def test_a_writer_does_not_wait_for_queries(path: Path) -> None:
    ledger = Ledger(path, "west-1")
    with ThreadPoolExecutor() as others, ledger.reading():
        identity = others.submit(ledger.open_record, AT, "part-1").result(10)
        others.submit(ledger.close_record, closed(identity)).result(10)
    assert ledger.account().balances


def test_questions_are_answered_while_another_program_has_the_file_locked(path: Path) -> None:
    ledger = Ledger(path, "west-1", {"mes": tuple(Verdict)})
    ledger.close_record(closed(ledger.open_record(AT, "part-1")))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert Outbox(ledger, "mes").depth() == (1, 0)


def test_questions_see_what_is_written_though_the_file_has_been_replaced(path: Path) -> None:
    ledger = Ledger(path, "west-1", {"mes": tuple(Verdict)})
    for file in path.parent.glob("ledger.sqlite*"):
        file.unlink()
    path.write_text("another file")
    ledger.close_record(closed(ledger.open_record(AT, "part-1")))
    assert Outbox(ledger, "mes").depth() == (1, 0)


def test_questions_may_change_nothing(path: Path) -> None:
    ledger = Ledger(path, "west-1")
    with pytest.raises(LedgerError, match="readonly"), ledger.reading() as db:
        db.execute("DELETE FROM station")


def test_questions_keep_the_write_ahead_log_from_nothing(path: Path) -> None:
    ledger = Ledger(path, "west-1", {"mes": tuple(Verdict)})
    for _ in range(3):
        ledger.close_record(closed(ledger.open_record(AT, "part")))
    outbox = Outbox(ledger, "mes")
    outbox.due(1)
    outbox.depth()
    ledger.account()
    begun = ledger.records()
    next(begun)
    with closing(sqlite3.connect(path)) as other:
        busy, pages, folded = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert (busy, pages, folded) == (0, 0, 0)


def test_its_size_counts_the_write_ahead_log(path: Path) -> None:
    ledger = Ledger(path, "west-1")
    ledger.open_record(AT, "part-1")
    size_bytes, log = ledger.status.size_bytes, path.with_name(f"{path.name}-wal")
    assert size_bytes == path.stat().st_size + log.stat().st_size
    assert log.stat().st_size > 0
    ledger.close()
    assert ledger.status.size_bytes == path.stat().st_size


def test_the_size_of_a_ledger_that_was_taken_away_is_unknown(path: Path) -> None:
    ledger = Ledger(path, "west-1")
    path.unlink()
    assert ledger.status == LedgerStatus(None, None)
