"""One rule for times: local with the offset when shown; given with or without a zone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from pipeline.cli.times import moment, shown, shown_of_day
from pipeline.errors import DataError

WINTER, SUMMER = datetime(2026, 1, 15, 5, 30, tzinfo=UTC), datetime(2026, 7, 15, 5, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is that of Berlin, as POSIX writes its rule."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("2026-01-15T06:30", WINTER),
        ("2026-01-15 06:30:00", WINTER),
        ("2026-07-15T07:30", SUMMER),
        ("2026-01-15T05:30Z", WINTER),
        ("2026-01-15T05:30+00:00", WINTER),
        ("2026-01-14T23:30-06:00", WINTER),
        ("20260115T063000", WINTER),
        ("2026-01-15", datetime(2026, 1, 14, 23, 0, tzinfo=UTC)),
        (" 2026-01-15T06:30 ", WINTER),
    ],
)
def test_a_time_without_a_zone_is_local_and_any_other_what_it_names(
    given: str, meant: datetime
) -> None:
    assert moment("--since", given) == meant


def test_no_time_is_none() -> None:
    assert moment("--since", None) is None


@pytest.mark.parametrize("given", ["yesterday", "", "2026-13-01", "15.01.2026", "06:30"])
def test_what_is_not_a_time_is_refused_with_what_to_write(given: str) -> None:
    with pytest.raises(DataError, match=r"--until .* is not a time; write 2026-11-23"):
        moment("--until", given)


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (WINTER, "2026-01-15 06:30:00+01:00"),
        (SUMMER, "2026-07-15 07:30:00+02:00"),
        ("2026-01-15T05:30:00.123456+00:00", "2026-01-15 06:30:00+01:00"),
        ("2026-01-15T05:30:00.123", "2026-01-15 06:30:00+01:00"),
    ],
)
def test_a_time_is_shown_in_local_time_with_its_offset(at: datetime | str, text: str) -> None:
    assert shown(at) == text
    assert shown_of_day(at) == text.split(" ")[1]


def test_what_is_shown_can_be_given() -> None:
    assert moment("--since", shown(SUMMER)) == SUMMER
