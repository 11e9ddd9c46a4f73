"""A new ledger in place of a damaged one, with all that could still be read.

The damaged file is kept under another name. Numbers go on after its last one, so that the audit
shows each record that could not be copied. A crash at any step leaves the damaged ledger, or a
complete new one beside it that the next call puts in place; no station starts in between.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import LedgerError
from pipeline.files import put_in_place, sync_folder
from pipeline.ledger.database import bring_up_to_date, connect
from pipeline.ledger.lock import LedgerLock
from pipeline.ledger.upkeep.integrity import damage_of, is_damage, made_beside

AT_ONCE = 4096  # numbers read by one query, halved around what cannot be read
LEAST_ROW_BYTES = 16
KIND = "ledger recovered"
MADE_HERE = {"station", "outbox_depths"}  # tables whose rows the new ledger has already


@dataclass(frozen=True)
class Recovery:
    """What a recovery has done.

    Attributes:
        ledger: the new one, at its usual path.
        detail: the name of the damaged file that was kept, and how many rows were copied of each
            table, as in the event `ledger recovered`.
    """

    ledger: Path
    detail: str


def recover(path: Path, station: str, at: datetime) -> Recovery:
    """Put a new ledger in place of a damaged one.

    Args:
        path: of the ledger.
        station: its name.
        at: now, with a time zone.

    Raises:
        LedgerError: a station is at work on it, it is not damaged, or another station's.
    """
    path = path.resolve()
    if not path.is_file():
        raise LedgerError(f"{path} is missing; `lineside run` makes it")
    try:
        with closing(LedgerLock(path)):
            made = made_beside(path)
            if not made.exists():
                _check(path, station)
                _make(path, made, station, at)
            _put_in_place(made, path)
            with closing(connect(path)) as db:
                query = "SELECT detail FROM events WHERE kind = ? ORDER BY seq DESC LIMIT 1"
                return Recovery(path, db.execute(query, (KIND,)).fetchone()[0])
    except (sqlite3.Error, OSError) as error:
        raise LedgerError(
            f"{path} could not be recovered ({error}); nothing of it was removed: check the rights "
            "and the free space of its folder, and run the command again"
        ) from error


def _check(path: Path, station: str) -> None:
    """Refuse a ledger that is whole, or is another station's."""
    with closing(connect(path)) as db:
        owner = None
        with suppress(sqlite3.Error):
            owner = db.execute("SELECT name FROM station").fetchone()
        if owner is not None and owner[0] != station:
            raise LedgerError(f'{path} is the ledger of station "{owner[0]}", not "{station}"')
        if not damage_of(db, indexes=True):
            raise LedgerError(f"{path} is not damaged; there is nothing to recover")


def _make(path: Path, made: Path, station: str, at: datetime) -> None:
    """Write a complete new ledger beside the damaged one, of which a copy is kept."""
    kept = path.with_name(f"{path.name}.damaged-{at.astimezone(UTC):%Y%m%dT%H%M%SZ}")
    _keep(path, kept)
    draft = made.with_name(f"{made.name}.draft")
    for left in (draft, draft.with_name(f"{draft.name}-journal")):
        left.unlink(missing_ok=True)
    draft.touch(mode=0o644)
    with closing(connect(path)) as old, closing(connect(draft, write=True)) as new:
        # Makes SQLite read a file that is shorter than it should be; nothing can be written to it.
        old.execute("PRAGMA writable_schema = ON")
        bring_up_to_date(new, draft, station)
        new.execute("BEGIN")
        copied = [f"{_copy(old, new, table)} {table}" for table in _tables(new)]
        _number_on(old, new)
        detail = f"{kept.name} is kept; copied of it: {', '.join(copied)}"
        stamp = at.astimezone(UTC).isoformat(timespec="milliseconds")
        row = (stamp, KIND, detail)
        new.execute("INSERT INTO events (at, kind, detail) VALUES (?, ?, ?)", row)
        new.execute("COMMIT")
        if found := damage_of(new, indexes=True):
            raise LedgerError(f"{draft} is damaged too ({found}): is the disk?")
    put_in_place(draft, made)


def _keep(path: Path, kept: Path) -> None:
    """Another name for the damaged file, and a copy of its write-ahead log."""
    try:
        kept.hardlink_to(path)
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        shutil.copy2(path, kept)
    log = path.with_name(f"{path.name}-wal")
    if log.is_file() and log.stat().st_size:
        shutil.copy2(log, kept.with_name(f"{kept.name}-wal"))
    sync_folder(path.parent)


def _put_in_place(made: Path, path: Path) -> None:
    """First without the former log, which SQLite would write into the new file."""
    for suffix in ("-wal", "-shm"):
        path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)
    sync_folder(path.parent)
    put_in_place(made, path)


def _tables(db: sqlite3.Connection) -> list[str]:
    """Those to be copied, records first."""
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    names = {row[0] for row in db.execute(query)} - MADE_HERE
    return sorted(names, key=lambda name: (name != "records", name))


def _copy(old: sqlite3.Connection, new: sqlite3.Connection, table: str) -> int:
    """Copy what can be read of a table; returns how many rows."""
    columns = [c for c in _columns(new, table) if c in _columns(old, table)]
    if not columns:
        return 0
    names = ", ".join(columns)
    insert = f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({', '.join('?' * len(columns))})"
    before = new.total_changes
    numbered = "seq" in columns
    for rows in _by_number(old, table, names) if numbered else _from_both_ends(old, table, names):
        for row in rows:
            with suppress(sqlite3.IntegrityError):  # not what a ledger has in this column
                new.execute(insert, tuple(row))
    return new.total_changes - before


def _by_number(db: sqlite3.Connection, table: str, names: str) -> Iterator[list[sqlite3.Row]]:
    """The rows of a numbered table, without those that cannot be read."""
    query = f"SELECT {names} FROM {table} NOT INDEXED WHERE seq BETWEEN ? AND ? ORDER BY seq"
    for first in range(1, _last(db, table) + 1, AT_ONCE):
        spans = [(first, first + AT_ONCE - 1)]
        while spans:
            low, high = spans.pop()
            try:
                rows = db.execute(query, (low, high)).fetchall()
            except sqlite3.DatabaseError:
                if low < high:
                    middle = (low + high) // 2
                    spans += [(middle + 1, high), (low, middle)]
                continue
            yield rows


def _last(db: sqlite3.Connection, table: str) -> int:
    """A number that no row of a table is above."""
    known = []
    for query, values in (
        ("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)),
        (f"SELECT max(seq) FROM {table} NOT INDEXED", ()),
    ):
        with suppress(sqlite3.DatabaseError):
            row = db.execute(query, values).fetchone()
            known += [] if row is None or not isinstance(row[0], int) else [row[0]]
    if known:
        return max(known)
    try:
        pages, page_bytes = (
            db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")
        )
    except sqlite3.DatabaseError:
        return 0
    return int(pages * page_bytes // LEAST_ROW_BYTES)


def _from_both_ends(db: sqlite3.Connection, table: str, names: str) -> Iterator[list[sqlite3.Row]]:
    """The rows of a table without numbers, from each end up to the first that cannot be read."""
    for order in ("ASC", "DESC"):
        try:
            for row in db.execute(f"SELECT {names} FROM {table} ORDER BY 1 {order}"):
                yield [row]
            return
        except sqlite3.DatabaseError:
            continue


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    try:
        return [row["name"] for row in db.execute(f"PRAGMA table_info({table})")]
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            return []
        raise


def _number_on(old: sqlite3.Connection, new: sqlite3.Connection) -> None:
    """Give no number again that the damaged ledger is known to have given."""
    with suppress(sqlite3.DatabaseError):
        for name, seq in old.execute("SELECT name, seq FROM sqlite_sequence").fetchall():
            done = new.execute(
                "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", (seq, name)
            )
            if done.rowcount == 0:
                new.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (name, seq))
