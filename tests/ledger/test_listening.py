"""When a camera could receive triggers, and the times that the audit shows when it could not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.ledger.ledger import Ledger
from pipeline.ledger.listening import NO_WORD, ListeningRows, not_listening
from pipeline.ledger.queries import period

START = datetime(2026, 1, 1, 6, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def utc(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(tmp_path / "ledger.sqlite", "west-1")) as opened:
        yield opened


@pytest.fixture
def rows(ledger: Ledger) -> ListeningRows:
    return ListeningRows(ledger)


def found(
    ledger: Ledger,
    *,
    now: float = 60,
    running: bool = True,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[tuple[str, str, str, str]]:
    with ledger.reading() as db:
        spans = not_listening(db, period(since, until), at(now), running)
    return [(n.camera, n.since, n.until, n.why) for n in spans]


def test_a_camera_that_listens_all_the_time_is_never_shown(
    ledger: Ledger, rows: ListeningRows
) -> None:
    row = rows.begin("top", at(0))
    rows.still([row], at(60))
    assert found(ledger) == []


def test_the_time_between_two_rows_is_shown_with_its_reason_and_what_became_of_its_triggers(
    ledger: Ledger, rows: ListeningRows
) -> None:
    rows.end(rows.begin("top", at(0)), at(10), "the broker is away")
    row = rows.begin("top", at(12), "the broker kept the messages for it")
    rows.still([row], at(60))
    why = "the broker is away; the broker kept the messages for it"
    assert found(ledger) == [("top", utc(at(10)), utc(at(12)), why)]


def test_a_station_that_was_killed_is_shown_from_its_last_sign_of_life(
    ledger: Ledger, rows: ListeningRows
) -> None:
    rows.still([rows.begin("top", at(0))], at(10))
    row = rows.begin("top", at(20))
    rows.still([row], at(60))
    assert found(ledger) == [("top", utc(at(10)), utc(at(20)), NO_WORD)]


def test_a_station_that_is_off_is_shown_until_now(ledger: Ledger, rows: ListeningRows) -> None:
    rows.end(rows.begin("top", at(0)), at(10), "the station is stopping")
    expected = [("top", utc(at(10)), "", "the station is stopping")]
    assert found(ledger, running=False) == expected


def test_a_running_station_that_has_not_stamped_for_long_is_not_trusted(
    ledger: Ledger, rows: ListeningRows
) -> None:
    rows.still([rows.begin("top", at(0))], at(10))
    assert found(ledger, now=10.1) == []
    assert found(ledger, now=60) == [("top", utc(at(10)), "", NO_WORD)]


def test_a_period_shows_the_times_that_reach_into_it_and_no_others(
    ledger: Ledger, rows: ListeningRows
) -> None:
    for begin, end in ((0, 10), (20, 30), (40, 50)):
        rows.end(rows.begin("top", at(begin)), at(end), f"away {end}")
    rows.still([rows.begin("top", at(60))], at(60))
    assert [n[3] for n in found(ledger, since=at(15), until=at(35))] == ["away 10", "away 30"]
    assert [n[3] for n in found(ledger, since=at(22), until=at(25))] == []


def test_each_camera_has_its_own_times(ledger: Ledger, rows: ListeningRows) -> None:
    for camera in ("left", "right"):
        rows.end(rows.begin(camera, at(0)), at(10), f"{camera} away")
        rows.still([rows.begin(camera, at(11))], at(60))
    assert [(n[0], n[3]) for n in found(ledger)] == [
        ("left", "left away"),
        ("right", "right away"),
    ]


def test_a_loss_that_is_noticed_late_does_not_end_before_its_row_began(
    ledger: Ledger, rows: ListeningRows
) -> None:
    rows.end(rows.begin("top", at(5)), at(1), "away")
    assert found(ledger) == [("top", utc(at(5)), "", "away")]


def test_only_a_row_that_has_not_ended_is_gone_on_with(ledger: Ledger, rows: ListeningRows) -> None:
    assert rows.last("top") is None
    row = rows.begin("top", at(0))
    assert rows.last("top") == row
    rows.end(row, at(1), "away")
    assert rows.last("top") is None
