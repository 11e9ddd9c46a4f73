"""What a page shows of the parts: the last of all, and the last that did not pass."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pipeline.contracts.records import Verdict
from pipeline.daemon.station import Station
from pipeline.daemon.web.live.feed import DOUBTFUL, STRIP, LiveFeed, shown
from pipeline.testing import FakeClock
from tests.daemon.web.live.conftest import NOON, part


@pytest.fixture
def feed(station: Station) -> LiveFeed:
    return LiveFeed(station, ["00:00"], FakeClock())


def serials(parts: list[dict[str, object]]) -> list[object]:
    return [p["serial"] for p in parts]


def test_the_last_parts_are_shown_and_no_pass_pushes_a_fail_away(feed: LiveFeed) -> None:
    feed.add(part(0, Verdict.FAIL), None)
    for i in range(1, 60):
        feed.add(part(i), None)
    found = feed.snapshot()
    assert serials(found["parts"]) == [f"SN-{i}" for i in range(60 - STRIP, 60)]
    assert serials(found["doubtful"]) == ["SN-0"]


def test_of_many_that_did_not_pass_the_last_are_shown(feed: LiveFeed) -> None:
    for i in range(30):
        feed.add(part(i, Verdict.NOT_INSPECTED), None)
    assert serials(feed.snapshot()["doubtful"]) == [f"SN-{i}" for i in range(30 - DOUBTFUL, 30)]


def test_news_are_the_parts_since_the_last_news(feed: LiveFeed) -> None:
    feed.add(part(1), None)
    feed.add(part(2, Verdict.REVIEW), None)
    first, second = feed.news(), feed.news()
    assert (serials(first["parts"]), serials(first["doubtful"])) == (["SN-1", "SN-2"], ["SN-2"])
    assert (second["parts"], second["doubtful"]) == ([], [])


def test_takt_is_the_median_time_between_triggers(feed: LiveFeed) -> None:
    feed.add(part(0), None)
    feed.add(part(1), None)
    assert feed.news()["takt_s"] is None
    for number in (2, 3, 60):
        feed.add(part(number), None)
    assert feed.news()["takt_s"] == 1.0


def test_a_station_that_starts_again_shows_what_its_ledger_has_of_today(
    feed: LiveFeed, station: Station
) -> None:
    now = datetime.now(UTC)
    for verdict in (Verdict.FAIL, Verdict.PASS, Verdict.PASS):
        identity = station.ledger.open_record(now, "SN-9", "camera")
        record = part(0, verdict, now)
        station.ledger.close_record(type(record)(**{**vars(record), "id": identity}))
    before = feed.snapshot()
    assert before["parts"] == []
    station.ledger.started_after = 3
    again = LiveFeed(station, ["00:00"])
    found = again.snapshot()
    assert [p["verdict"] for p in found["parts"]] == ["FAIL", "PASS", "PASS"]
    assert [p["verdict"] for p in found["doubtful"]] == ["FAIL"]
    assert found["day"]["verdicts"] == {"PASS": 2, "FAIL": 1, "REVIEW": 0, "NOT_INSPECTED": 0}
    again.add(part(1, Verdict.PASS, now), None)
    assert again.news()["day"]["verdicts"]["PASS"] == 3
    assert again.snapshot()["day"]["verdicts"]["PASS"] == 3  # counted once


def test_the_state_names_why_nothing_is_inspected(feed: LiveFeed, station: Station) -> None:
    station.recorder.alarm = "ledger.sqlite: disk full"
    found = feed.current_state()
    assert found["state"] == "idle"
    assert "ledger.sqlite: disk full" in found["why"]
    assert (found["model"], found["signed_by"]) == ("cells/3", "")


def test_every_record_of_the_station_is_taken_in(station: Station) -> None:
    feed = LiveFeed(station, ["00:00"])
    called = list[bool]()
    feed.on_part = lambda: called.append(True)
    arrival = station.recorder.open("camera", NOON, 0.0, "SN-5")
    assert arrival is not None
    station.recorder.refuse(arrival, "overload: 9 frames wait")
    (found,) = feed.news()["parts"]
    assert (found["serial"], found["verdict"], called) == ("SN-5", "NOT_INSPECTED", [True])


def test_a_shown_part_has_what_people_look_for() -> None:
    assert shown(part(1, Verdict.FAIL)) == {
        "id": "id-0001",
        "at": "2026-11-28T12:00:01.000000+00:00",
        "serial": "SN-1",
        "verdict": "FAIL",
        "class": "",
        "score": None,
        "reason": "why",
        "camera": "top",
        "latency_ms": None,
    }
