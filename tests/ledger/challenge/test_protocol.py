"""What was expected and seen of each part of a run."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pipeline.contracts.challenge import KnownPart
from pipeline.contracts.records import ChallengePart, Record, Verdict
from pipeline.ledger.challenge.protocol import protocol
from pipeline.ledger.challenge.runs import begin, open_run, take_up
from pipeline.ledger.ledger import Ledger

AT = datetime(2026, 11, 28, 6, 0, tzinfo=UTC)
PARTS = (KnownPart("RR-1", Verdict.FAIL), KnownPart("G-1", Verdict.PASS), KnownPart("G-2"))


def test_the_first_verdict_on_a_part_stands_in_the_protocol(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / "ledger.sqlite", "west-1")) as ledger:
        with ledger.writing() as db:
            begun = begin(db, AT, "anna", PARTS, 900)
            take_up(db, begun.id, 0.0, "cells/3")
        for part, verdict in (
            *((0, Verdict.NOT_INSPECTED), (0, Verdict.PASS), (0, Verdict.FAIL)),
            *((1, Verdict.PASS), (None, Verdict.FAIL)),
        ):
            identity = ledger.open_record(AT, "any", "top", ChallengePart(begun.id, part))
            record = Record(identity, "west-1", AT.isoformat(), "any", verdict, "")
            ledger.close_record(replace(record, model_version="cells/3"))
        with ledger.reading() as db:
            run = open_run(db)
            assert run is not None
            found = protocol(db, "west-1", run)
    assert [(p["seen"], p["met"]) for p in found["parts"]] == [
        *(("PASS", False), ("PASS", True), ("", None)),
    ]
    assert (found["station"], found["started_by"], found["passed"]) == ("west-1", "anna", None)
