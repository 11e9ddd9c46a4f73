"""A station whose parts are made by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.contracts.records import Record, Verdict

NOON = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


def part(number: int, verdict: Verdict = Verdict.PASS, at: datetime | None = None) -> Record:
    """A closed record; one comes each second."""
    when = (at or NOON + timedelta(seconds=number)).isoformat(timespec="microseconds")
    return Record(f"id-{number:04}", "west-1", when, f"SN-{number}", verdict, "why", camera="top")


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's local time is UTC."""
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
