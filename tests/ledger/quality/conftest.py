"""A ledger whose records are judged at set times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import pytest

from pipeline.contracts.records import Record, Verdict
from pipeline.ledger.ledger import Ledger

AT = datetime(2026, 11, 23, 6, 7, 30, tzinfo=UTC)


class Judge(Protocol):
    """Opens and closes records."""

    def __call__(
        self,
        verdict: Verdict = Verdict.PASS,
        at: datetime = AT,
        n: int = 1,
        camera: str = "top",
        part_class: str = "good",
        reason: str = "",
        model: str = "cells/3",
    ) -> None: ...


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(tmp_path / "ledger.sqlite", "west-1")) as opened:
        yield opened


@pytest.fixture
def judge(ledger: Ledger) -> Judge:
    def add(
        verdict: Verdict = Verdict.PASS,
        at: datetime = AT,
        n: int = 1,
        camera: str = "top",
        part_class: str = "good",
        reason: str = "",
        model: str = "cells/3",
    ) -> None:
        inspected = verdict is not Verdict.NOT_INSPECTED
        for _ in range(n):
            record = Record(
                *(ledger.open_record(at, "", camera), "west-1", at.isoformat(), ""),
                *(verdict, reason, part_class if inspected else "", 0.25 if inspected else None),
                model_version=model if inspected else "",
            )
            ledger.close_record(record)

    return add
