"""Reads the archives of a ledger: files beside it that took over the records of past months.

A record may stand in both for a moment, while it is moved; then the ledger's own counts. So what is
known of the ledger must be read before its archives are.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from pipeline.errors import LedgerError
from pipeline.ledger.database import connect, format_of

FIRST_FORMAT = 4  # that had archives


def archive_file(path: Path, name: str) -> Path:
    """An archive of the ledger at `path`."""
    return path.resolve().with_name(name)


@contextmanager
def with_archives(
    db: sqlite3.Connection, path: Path, after: int = 0
) -> Iterator[list[sqlite3.Connection]]:
    """The ledger and those of its archives that have a record with a number above `after`.

    Args:
        db: a connection to the ledger. In a transaction, all that is found belongs to that state.
        path: of the ledger.
        after: number.

    Raises:
        LedgerError: an archive is missing, or is not a ledger's.
        sqlite3.Error: one cannot be read.
    """
    query = "SELECT name FROM archives WHERE last > ? ORDER BY first, name"
    names = [row[0] for row in db.execute(query, (after,)).fetchall()]
    with ExitStack() as stack:
        files = [db]
        for name in names:
            file = archive_file(path, name)
            if not file.is_file():
                raise LedgerError(
                    f"{file} is missing, an archive with records of {path}; put it back beside it"
                )
            opened = stack.enter_context(closing(connect(file)))
            if format_of(opened, file) < FIRST_FORMAT:
                raise LedgerError(f"{file} is not an archive of {path}")
            files.append(opened)
        yield files
