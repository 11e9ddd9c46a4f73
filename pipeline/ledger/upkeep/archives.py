"""Reads the archives of a ledger: files beside it that took over the records of past months.

Each is read only as it was written: its SHA-256 stands in the ledger. A record may stand in both
for a moment, while it is moved; then the ledger's own counts. So what is known of the ledger must
be read before its archives are.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from pipeline.contracts.records import Record
from pipeline.errors import LedgerError
from pipeline.files import sha256
from pipeline.ledger.database import connect, format_of
from pipeline.ledger.queries import closed_record, closed_records_of_serial
from pipeline.ledger.upkeep.integrity import damage_of

FIRST_FORMAT = 4  # that had archives

# Files that were found whole, by path: size, time of change and SHA-256 then. At a GB a second
# they are not to be read again for each request.
_whole: dict[Path, tuple[int, int, str]] = {}
_verifying = threading.Lock()


def archive_file(path: Path, name: str) -> Path:
    """An archive of the ledger at `path`."""
    return path.resolve().with_name(name)


def verify(file: Path, expected_sha256: str) -> None:
    """Check that an archive is what was written; one that was found so is not read again.

    Args:
        file: which is there.
        expected_sha256: as the ledger has it; "" where it has none: nothing is checked.

    Raises:
        LedgerError: it cannot be read, or is another; what SQLite finds of it is named.
    """
    if not expected_sha256:
        return
    with _verifying:
        try:
            stat = file.stat()
            known = (stat.st_size, stat.st_mtime_ns, expected_sha256)
            if _whole.get(file) == known:
                return
            found = sha256(file)
        except OSError as error:
            raise LedgerError(f"the archive {file} cannot be read ({error})") from error
        if found == expected_sha256:
            _whole[file] = known
            return
    raise LedgerError(
        f"{file} is not what was archived: its SHA-256 is {found[:12]}…, the ledger has "
        f"{expected_sha256[:12]}… ({_damage(file)}); put a copy from a backup in its place"
    )


def _damage(file: Path) -> str:
    try:
        with closing(connect(file)) as db:
            return damage_of(db, indexes=True) or "a whole SQLite file, so somebody changed it"
    except sqlite3.Error as error:
        return str(error)


@contextmanager
def with_archives(
    db: sqlite3.Connection, path: Path, after: int = 0, *, whole: bool = True
) -> Iterator[list[sqlite3.Connection]]:
    """The ledger and those of its archives that have a record with a number above `after`.

    Args:
        db: a connection to the ledger. In a transaction, all that is found belongs to that state.
        path: of the ledger.
        after: number.
        whole: check that they are what was archived.

    Raises:
        LedgerError: an archive is missing, is not what was archived, or not a ledger's.
        sqlite3.Error: one cannot be read.
    """
    query = "SELECT name, sha256 FROM archives WHERE last > ? ORDER BY first, name"
    with ExitStack() as stack:
        files = [db]
        for name, expected in db.execute(query, (after,)).fetchall():
            file = archive_file(path, name)
            files.append(stack.enter_context(_opened(file, path, expected if whole else "")))
        yield files


@contextmanager
def _opened(file: Path, path: Path, expected_sha256: str) -> Iterator[sqlite3.Connection]:
    if not file.is_file():
        raise LedgerError(
            f"{file} is missing, an archive with records of {path}; put it back beside it"
        )
    verify(file, expected_sha256)
    with closing(connect(file)) as db:
        if format_of(db, file) < FIRST_FORMAT:
            raise LedgerError(f"{file} is not an archive of {path}")
        yield db


def archived_to(db: sqlite3.Connection) -> str:
    """The last month of which records were moved, such as 2026-10; "" where none were."""
    query = "SELECT name FROM archives ORDER BY last DESC LIMIT 1"
    row = db.execute(query).fetchone()
    return "" if row is None else Path(row[0]).stem[-len("2026-10") :]


def archived_record(
    db: sqlite3.Connection, path: Path, identity: str, station: str
) -> tuple[Record, Path] | None:
    """A record that was moved, by its id, and the archive that it is in; None where there is none.

    Args:
        db: a connection to the ledger.
        path: of the ledger.
        identity: of the record. Ids grow, so only archives that end later are asked.
        station: its name.

    Raises:
        LedgerError, sqlite3.Error: as of `with_archives`.
    """
    query = "SELECT name, sha256 FROM archives WHERE last_id >= ? ORDER BY last_id"
    for name, expected in db.execute(query, (identity,)).fetchall():
        file = archive_file(path, name)
        with _opened(file, path, expected) as archive:
            found = closed_record(archive, identity, station)
        if found is not None:
            return found, file
    return None


def archived_records_of_serial(
    db: sqlite3.Connection, path: Path, serial: str, station: str, limit: int
) -> list[Record]:
    """Records of a part that were moved, the last `limit` of them, newest first.

    Args:
        db: a connection to the ledger.
        path: of the ledger.
        serial, station, limit: as of `closed_records_of_serial`.

    Raises:
        LedgerError, sqlite3.Error: as of `with_archives`.
    """
    found: list[Record] = []
    query = "SELECT name, sha256 FROM archives ORDER BY last DESC, name DESC"
    for name, expected in db.execute(query).fetchall() if limit > 0 else ():
        with _opened(archive_file(path, name), path, expected) as archive:
            found += closed_records_of_serial(archive, serial, station, limit - len(found))
        if len(found) >= limit:
            break
    return found
