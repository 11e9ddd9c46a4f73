"""Writes the records of known parts when their triggers come."""

from __future__ import annotations

import sqlite3

from pipeline.contracts.records import ChallengePart, RecordKind


def open_presented(
    db: sqlite3.Connection, trigger: tuple[str, str, str, str], presented: ChallengePart
) -> None:
    """Open the record of a known part.

    Args:
        db: in a transaction.
        trigger: id of the record, time in UTC, serial and camera.
        presented: what it belongs to.
    """
    db.execute(
        "INSERT INTO records (id, captured_at, serial, camera, kind) VALUES (?, ?, ?, ?, ?)",
        (*trigger, RecordKind.CHALLENGE),
    )
    note_presented(db, trigger[0], presented)


def note_presented(db: sqlite3.Connection, identity: str, presented: ChallengePart) -> None:
    """Note which run and part a record belongs to."""
    db.execute(
        "INSERT INTO challenge_records (record, run, part) VALUES (?, ?, ?)",
        (identity, presented.run, presented.part),
    )
