"""A ledger with judged parts, made without a model."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipeline.contracts.records import Record, Verdict
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.review.reviews import opened

AT = datetime(2026, 11, 28, 6, 0, tzinfo=UTC)
STATION = "west-1"


@dataclass
class Judged:
    """A ledger to which parts and reviews are added.

    Attributes:
        path: of the ledger.
        ids: of the records by serial.
    """

    path: Path
    ids: dict[str, str] = field(default_factory=dict)

    def part(
        self,
        serial: str,
        verdict: Verdict,
        part_class: str = "",
        *scores: float,
        kept: bool = True,
        shadow: tuple[Verdict, str] | None = None,
    ) -> str:
        """One more closed record; `scores` are of the classes good, scratch and dent."""
        at = AT + timedelta(seconds=len(self.ids))
        ledger = Ledger(self.path, STATION)
        identity = ledger.open_record(at, serial)
        named = dict(zip(("good", "scratch", "dent"), scores, strict=False))
        ledger.close_record(
            Record(
                *(identity, STATION, at.isoformat(), serial, verdict, "as it is", part_class),
                scores=named,
                model_version="cells/3",
            )
        )
        if kept:
            ledger.note_image(identity, f"2026-11-28/{identity}.png")
        if shadow is not None:
            row = (identity, "cells/4", shadow[0], "", shadow[1], None)
            with ledger.writing() as db:
                db.execute("INSERT INTO shadows VALUES (?, ?, ?, ?, ?, ?)", row)
        ledger.close()
        self.ids[serial] = identity
        return identity

    def review(self, serial: str, person: str, part_class: str) -> None:
        """A review, or its withdrawal where the class is ""."""
        with opened(self.path, STATION) as reviews:
            if part_class:
                reviews.add(self.ids[serial], part_class, person, "", AT)
            else:
                reviews.withdraw(self.ids[serial], person, AT)
