"""Subgroups of parts by local hour, local day and number of parts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.daemon.quality.subgroups import (
    Subgroup,
    day_of,
    hour_of,
    next_day,
    subgroups,
    whole_hours,
)
from pipeline.ledger.quality.counts import Inspected

DAY = datetime(2026, 11, 23, tzinfo=UTC)
LATER = DAY + timedelta(days=9)


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(hours: float, n: int = 100, fails: int = 0, model: str = "3") -> Inspected:
    return Inspected(DAY + timedelta(hours=hours), model, n, fails)


def shape(found: list[Subgroup]) -> list[tuple[float, float, int, int]]:
    """Begin and end in hours, parts, fails."""
    return [
        (
            (s.since - DAY).total_seconds() / 3600,
            (s.until - DAY).total_seconds() / 3600,
            s.n,
            s.fails,
        )
        for s in found
    ]


def test_an_hour_has_its_inspected_parts_and_those_of_them_that_failed() -> None:
    counts = [
        *(at(6, fails=3), at(6, 12, 2, model="4")),
        *(at(6.75), at(9, 4, 4)),
    ]
    assert shape(subgroups(counts, "hour", 0, LATER)) == [(6, 7, 212, 5), (9, 10, 4, 4)]


def test_a_day_is_one_subgroup_with_all_its_models() -> None:
    counts = [at(6), at(23.75, 50, model="4"), at(24, 30)]
    found = subgroups(counts, "day", 0, LATER)
    assert shape(found) == [(0, 24, 150, 0), (24, 48, 30, 0)]
    assert found[0].models == {"3": 100, "4": 50}
    assert found[0].share == 0.0


def test_subgroups_by_parts_are_whole_quarters_and_begin_again_with_each_day() -> None:
    counts = [at(6), at(6.25), at(6.5), at(7), at(8, 20), at(24), at(24.25)]
    assert shape(subgroups(counts, "parts", 200, LATER)) == [
        (6, 6.5, 200, 0),
        (6.5, 7.25, 200, 0),
        (8, 24, 20, 0),
        (24, 24.5, 200, 0),
    ]


def test_subgroups_by_parts_do_not_depend_on_how_far_back_one_looks() -> None:
    counts = [at(6), at(6.25), at(24), at(24.25), at(24.5)]
    whole, one_day = (subgroups(c, "parts", 150, LATER) for c in (counts, counts[2:]))
    assert whole[1:] == one_day


@pytest.mark.parametrize(("minutes", "complete"), [(59, False), (60, False), (61, True)])
def test_an_hour_is_complete_once_its_last_parts_are_settled(minutes: int, complete: bool) -> None:
    now = DAY + timedelta(hours=6, minutes=minutes)
    assert [s.complete for s in subgroups([at(6)], "hour", 0, now)] == [complete]


def test_what_is_left_of_a_day_is_complete_when_the_day_is_over() -> None:
    for now, complete in ((DAY + timedelta(hours=20), False), (LATER, True)):
        (left,) = subgroups([at(6, 20)], "parts", 200, now)
        assert (left.complete, left.until) == (complete, DAY + timedelta(days=1))


def test_without_inspected_parts_there_are_no_subgroups() -> None:
    assert subgroups([], "hour", 0, LATER) == []


@pytest.mark.parametrize(
    ("zone_name", "hours"), [("Europe/Berlin", 25), ("America/Phoenix", 24), ("Asia/Kolkata", 24)]
)
def test_a_day_of_the_stations_clock_may_have_25_hours(
    monkeypatch: pytest.MonkeyPatch, zone_name: str, hours: int
) -> None:
    monkeypatch.setenv("TZ", zone_name)
    time.tzset()
    noon = datetime(2026, 10, 25, 12, tzinfo=UTC)  # when summer time ends in Europe
    begun = day_of(noon)
    assert begun.astimezone().strftime("%d %H:%M") == "25 00:00"
    assert next_day(begun) - begun == timedelta(hours=hours)
    assert hour_of(noon).astimezone().minute == 0
    assert whole_hours(noon) == (zone_name != "Asia/Kolkata")
