"""A connection to a line's ledger beside the station, which may be at work."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.daemon.settings.line import Line
from pipeline.errors import LedgerError
from pipeline.ledger.database import format_of
from pipeline.ledger.schema import VERSION


@contextmanager
def connected(line: Line, needed_by: str, *, write: bool = False) -> Iterator[sqlite3.Connection]:
    """The ledger of a line's station, of the present format; SQLite's errors in words.

    Args:
        line: whose.
        needed_by: for messages, in the plural: `reviews`.
        write: else the connection can change nothing.

    Raises:
        LedgerError: there is no ledger, it is another station's, of another format, or in a state
            that cannot be read or written.
    """
    path = line.ledger
    if not path.is_file():
        raise LedgerError(f"{path} is missing; `lineside run` makes it")
    db: Any = None
    try:
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={'rw' if write else 'ro'}",
            uri=True,
            isolation_level=None,
            timeout=5,
        )
        db.row_factory = sqlite3.Row
        version = format_of(db, path)
        if version != VERSION:
            raise LedgerError(
                f"{path} has ledger format {version}, {needed_by} need {VERSION}; start the "
                "station once with this Lineside, which brings an older one up to date"
            )
        owner = db.execute("SELECT name FROM station").fetchone()[0]
        if owner != line.station:
            raise LedgerError(f'{path} is the ledger of station "{owner}", not "{line.station}"')
        yield db
    except sqlite3.Error as error:
        raise LedgerError(f"{path} cannot be used as a ledger ({error})") from error
    finally:
        if db is not None:
            db.close()
