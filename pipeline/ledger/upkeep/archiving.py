"""Moves the records of past months into an archive each, beside the ledger, while it is in use.

A month is copied, read again from the archive's file and compared, and only then removed from the
ledger, in transactions so short that a station does not wait for them. A crash at any step leaves
each record in the ledger, in the archive or in both; the next call goes on. Records that an outbox,
a kept image, a review or a challenge run needs stay in the ledger, and so do events and the times
of listening.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import LedgerError
from pipeline.files import sha256, sync_folder
from pipeline.ledger.database import bring_up_to_date, connect, connected
from pipeline.ledger.lock import only_one
from pipeline.ledger.upkeep.archives import archive_file, verify
from pipeline.ledger.upkeep.integrity import damage_of

COPIED_AT_ONCE, REMOVED_AT_ONCE = 5000, 500  # some 10 ms each

NEEDED = """
CREATE TEMP TABLE IF NOT EXISTS needed (record TEXT PRIMARY KEY) WITHOUT ROWID;
DELETE FROM needed;
INSERT OR IGNORE INTO needed SELECT record FROM main.outbox;
"""
# Closed, and nothing else in the ledger refers to it, as challenge runs do.
FREE = """
verdict IS NOT NULL AND image = '' AND kind = 'part' AND id NOT IN (SELECT record FROM temp.needed)
AND id NOT IN (SELECT record FROM main.outbox WHERE seq > :outbox)
AND NOT EXISTS (SELECT 1 FROM main.reviews WHERE record = records.id)
"""
WINDOW = """
SELECT seq, captured_at FROM main.records INDEXED BY records_captured
WHERE captured_at >= :at AND captured_at < :end AND (captured_at > :at OR seq > :seq)
ORDER BY captured_at, seq LIMIT :most
"""
CHOSEN = "seq IN (SELECT value FROM json_each(:chosen))"


@dataclass(frozen=True)
class ArchivedMonth:
    """A month whose records were moved.

    Attributes:
        month: such as 2026-10, in UTC.
        file: the archive.
        moved: records that are there now and no longer in the ledger.
        left: records of the month that stay in the ledger, since something there needs them.
    """

    month: str
    file: Path
    moved: int
    left: int


def archive(
    path: Path,
    station: str,
    now: datetime,
    on_month: Callable[[ArchivedMonth], None] = lambda month: None,
) -> list[ArchivedMonth]:
    """Move all months before the present one.

    Args:
        path: of the ledger.
        station: its name.
        now: with a time zone.
        on_month: called after each month.

    Raises:
        LedgerError: there is no such ledger, another call is at work, the copy is not what was
            copied, an archive is not what was archived, or a file cannot be written.
    """
    present = f"{now.astimezone(UTC):%Y-%m}"
    done = []
    try:
        with (
            only_one(path, "archive"),
            connected(path, "archives", station, write=True) as db,
        ):
            for month in _months(db, present):
                done.append(_move(db, path, station, month))
                on_month(done[-1])
            _seal(db, path)
    except OSError as error:
        raise LedgerError(f"the archive of {path} cannot be written ({error})") from error
    return done


def _months(db: sqlite3.Connection, present: str) -> Iterator[str]:
    """Past months that have records in the ledger, the oldest first."""
    after = ""
    while True:
        query = "SELECT min(captured_at) FROM records WHERE captured_at >= ? AND captured_at < ?"
        first = db.execute(query, (after, present)).fetchone()[0]
        if first is None:
            return
        yield first[:7]
        after = _end(first[:7])


def _end(month: str) -> str:
    """Behind every time of a month."""
    return f"{month}~"


def _seal(db: sqlite3.Connection, path: Path) -> None:
    """Note the SHA-256 of the archives that were written, and verify all others.

    Raises:
        LedgerError: one is damaged, missing or changed; all others are noted and verified.
    """
    wrong = []
    for row in db.execute("SELECT name, sha256 FROM archives ORDER BY first, name").fetchall():
        file = archive_file(path, row["name"])
        try:
            if row["sha256"]:
                verify(file, row["sha256"])
                continue
            with closing(connect(file)) as archive:
                if found := damage_of(archive, indexes=True):
                    raise LedgerError(f"{file} is damaged ({found})")
            update = "UPDATE archives SET sha256 = ? WHERE name = ?"
            db.execute(update, (sha256(file), row["name"]))
        except (LedgerError, sqlite3.Error, OSError) as error:
            named = str(file) in str(error)
            wrong.append(str(error) if named else f"{file}: {error}")
    if wrong:
        raise LedgerError("; ".join(wrong))


def _unseal(db: sqlite3.Connection, file: Path) -> None:
    """Forget the SHA-256 of an archive that is about to grow, which must be whole before."""
    row = db.execute("SELECT sha256 FROM archives WHERE name = ?", (file.name,)).fetchone()
    if row is not None and file.is_file():
        verify(file, row["sha256"])
        db.execute("UPDATE archives SET sha256 = '' WHERE name = ?", (file.name,))


def _move(db: sqlite3.Connection, path: Path, station: str, month: str) -> ArchivedMonth:
    real = path.resolve()
    file = archive_file(path, f"{real.stem}-{month}{real.suffix}")
    _unseal(db, file)
    file.touch(mode=0o644)
    with closing(connect(file, write=True)) as made:
        bring_up_to_date(made, file, station)
    sync_folder(file.parent)
    db.execute("ATTACH ? AS archive", (str(file),))
    try:
        db.execute("PRAGMA archive.synchronous = FULL")
        db.executescript(NEEDED)
        newest = db.execute("SELECT coalesce(max(seq), 0) FROM main.outbox").fetchone()[0]
        copied = 0
        for window in _windows(db, month, COPIED_AT_ONCE):
            copied += _copy(db, {"chosen": json.dumps(window), "outbox": newest})
        moved = 0
        if copied:
            _verify(db, file)
            _register(db, file)
            for window in _windows(db, month, REMOVED_AT_ONCE):
                moved += _remove(db, {"chosen": json.dumps(window), "outbox": newest}, file)
    finally:
        db.execute("DETACH archive")
    left = db.execute(
        "SELECT count(*) FROM records WHERE captured_at >= ? AND captured_at < ?",
        (month, _end(month)),
    ).fetchone()[0]
    if not copied and not _registered(db, file):
        file.unlink()
    return ArchivedMonth(month, file, moved, left)


def _windows(db: sqlite3.Connection, month: str, most: int) -> Iterator[list[int]]:
    """The numbers of all records of a month, some at a time."""
    at, seq = month, 0
    while rows := db.execute(
        WINDOW, {"at": at, "seq": seq, "end": _end(month), "most": most}
    ).fetchall():
        yield [row["seq"] for row in rows]
        at, seq = rows[-1]["captured_at"], rows[-1]["seq"]


def _copy(db: sqlite3.Connection, values: dict[str, object]) -> int:
    """Copy those of a window that may go; returns how many the archive has of them then."""
    db.execute("BEGIN")
    try:
        for table, chosen in (
            ("records", f"{CHOSEN} AND {FREE}"),
            ("shadows", f"record IN (SELECT id FROM main.records WHERE {CHOSEN} AND {FREE})"),
        ):
            columns = ", ".join(
                row["name"] for row in db.execute(f"PRAGMA main.table_info({table})")
            )
            db.execute(
                f"INSERT OR IGNORE INTO archive.{table} ({columns}) "
                f"SELECT {columns} FROM main.{table} AS {table} WHERE {chosen}",
                values,
            )
        query = f"SELECT count(*) FROM archive.records WHERE {CHOSEN}"
        n: int = db.execute(query, values).fetchone()[0]
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    return n


def _verify(db: sqlite3.Connection, file: Path) -> None:
    """Compare what the archive's file holds with the ledger, through a connection of its own.

    Raises:
        LedgerError: they differ, or the archive is damaged.
    """
    with closing(connect(file)) as archive:
        if found := damage_of(archive, indexes=True):
            raise LedgerError(f"{file} is damaged ({found}); nothing was removed from the ledger")
        for table, key in (("records", "seq"), ("shadows", "record")):
            columns = [row["name"] for row in archive.execute(f"PRAGMA table_info({table})")]
            copied = f"SELECT {', '.join(columns)} FROM {table} ORDER BY {key}"
            rows = archive.execute(copied)
            while some := rows.fetchmany(COPIED_AT_ONCE):
                wanted = {tuple(row) for row in some}
                low, high = some[0][key], some[-1][key]
                present = db.execute(
                    f"SELECT {', '.join(columns)} FROM main.{table} WHERE {key} BETWEEN ? AND ? "
                    f"AND {key} IN (SELECT {key} FROM archive.{table} WHERE {key} BETWEEN ? AND ?)",
                    (low, high, low, high),
                ).fetchall()
                if any(tuple(row) not in wanted for row in present):
                    raise LedgerError(
                        f"{file} has other {table} than the ledger; nothing was removed: move that "
                        "file away and run the command again"
                    )


def _register(db: sqlite3.Connection, file: Path) -> None:
    """From now on audits read the archive too."""
    db.execute(
        "INSERT INTO archives (name, first, last, last_id, n) "
        "SELECT ?, min(seq), max(seq), max(id), 0 FROM archive.records WHERE true "
        "ON CONFLICT (name) DO UPDATE SET first = excluded.first, last = excluded.last, "
        "last_id = excluded.last_id",
        (file.name,),
    )


def _registered(db: sqlite3.Connection, file: Path) -> bool:
    query = "SELECT 1 FROM archives WHERE name = ?"
    return db.execute(query, (file.name,)).fetchone() is not None


def _remove(db: sqlite3.Connection, values: dict[str, object], file: Path) -> int:
    """Remove what the archive has and the ledger does not need; returns how many records."""
    chosen = (
        f"SELECT id FROM main.records AS records WHERE {CHOSEN} AND {FREE} "
        "AND EXISTS (SELECT 1 FROM archive.records AS copy WHERE copy.seq = records.seq)"
    )
    db.execute("BEGIN IMMEDIATE")
    try:
        ids = json.dumps([row["id"] for row in db.execute(chosen, values)])
        among = "(SELECT value FROM json_each(?))"
        db.execute(f"DELETE FROM main.shadows WHERE record IN {among}", (ids,))
        done = db.execute(f"DELETE FROM main.records WHERE id IN {among}", (ids,))
        values_n = (done.rowcount, file.name)
        db.execute("UPDATE main.archives SET n = n + ? WHERE name = ?", values_n)
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    return done.rowcount
