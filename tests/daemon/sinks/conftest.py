"""Records to deliver."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.contracts.records import Record, Verdict
from pipeline.ledger.ids import Ids

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
Records = Callable[[int], list[Record]]


@pytest.fixture
def records() -> Records:
    """Make n records, each another part."""
    ids = Ids()
    count = iter(range(10**9))

    def make(n: int) -> list[Record]:
        return [one(next(count)) for _ in range(n)]

    def one(i: int) -> Record:
        at = AT + timedelta(seconds=i)
        return Record(
            id=ids.make(at),
            station="west-1",
            captured_at=at.isoformat(timespec="microseconds"),
            serial=f"Teil-{i} é",
            verdict=Verdict.FAIL,
            reason="defect score 0.912 above fail limit 0.800",
            part_class="crack",
            defect_score=0.912,
            scores={"good": 0.088, "crack": 0.912},
            model_version="cells/3",
            latency_ms=12.5,
            camera="left",
        )

    return make
