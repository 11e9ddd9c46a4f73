"""The live view: what it shows, and that it fits."""

from __future__ import annotations

import io
import logging
import threading
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest
from rich.console import Console, RenderableType

from pipeline.cli.live.dashboard import Watch, page
from pipeline.contracts.bundle import Bundle
from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.images.writer import StorageStatus
from pipeline.daemon.inspection.camera import CameraStatus
from pipeline.daemon.model.serving import ModelStatus
from pipeline.daemon.outbox.dispatcher import SinkStatus
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.settings.line import Line
from pipeline.daemon.status import StationStatus
from pipeline.inference.inspector import Inspector
from pipeline.ledger.ledger import Ledger
from pipeline.testing import FakeClock, FakeSource
from tests.daemon.conftest import picture, station_of

NOW = FakeClock().now()
STATE = StationStatus(
    station="west-1",
    recipe="cells",
    at=NOW + timedelta(days=41, hours=3),
    started_at=NOW,
    model=ModelStatus("cells/3", "", NOW, shadow="cells/4", shadowed=4000, disagreements=12),
    cameras=(CameraStatus("west", connected=True, alarm="", frames=1234, frame_age_s=0.1),),
    sinks=(SinkStatus("mqtt", due=1403, dead=2), SinkStatus("jsonl", delivered=13403)),
    storage=StorageStatus(kept_bytes=12_300_000_000, quota_bytes=50_000_000_000, days_left=93),
    verdicts={Verdict.PASS: 900, Verdict.FAIL: 60, Verdict.REVIEW: 30, Verdict.NOT_INSPECTED: 10},
    reasons={"overload": 10},
)
RECORD = Record(
    "01", "west-1", NOW.isoformat(), "part-7", Verdict.FAIL, "crack [wide]", latency_ms=6.25
)


def drawn(what: RenderableType, columns: int = 80, rows: int = 24) -> list[str]:
    """The lines of the view in a terminal of that size."""
    console = Console(width=columns, height=rows, file=io.StringIO(), record=True)
    console.print(what)
    return console.export_text().splitlines()


def view(state: StationStatus = STATE, **more: tuple[object, ...]) -> RenderableType:
    given = {"latencies_ms": (5.0, 6.0, 9.0), "records": (RECORD,), "messages": (), **more}
    return page(state, rate_hz=19.8, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (120, 40), (40, 12)])
def test_view_fills_the_terminal_and_no_more(columns: int, rows: int) -> None:
    lines = drawn(view(), columns, rows)
    assert len(lines) == rows
    assert max(len(line) for line in lines) <= columns


@pytest.mark.parametrize(
    "shown",
    [
        "west-1  cells",
        "cells/3  up 41 days, 3:00:00",
        "● READY",
        "PASS                900  90.0%",
        "latency p50         6.0",
        "● camera west  1,234 frames, 0.1 s ago",
        "● sink mqtt  0 sent, 1,403 due, 2 dead",
        "● storage  12.3 GB of 50 GB, 93 days left",
        "● shadow cells/4  12 of 4,000 differ",
        "not inspected  10 overload",
        "FAIL 6.2 ms  part-7  crack [wide]",
    ],
)
def test_view_at_80_columns_shows(shown: str) -> None:
    squeezed = [" ".join(line.split()) for line in drawn(view())]
    assert any(" ".join(shown.split()) in line for line in squeezed), "\n".join(drawn(view()))


def test_counts_of_months_fit() -> None:
    many = dict.fromkeys(Verdict, 12_345_678)
    text = "\n".join(drawn(view(replace(STATE, verdicts=many))))
    assert text.count("12,345,678  25.0%") + text.count("12,345,678 25.0%") == 4


def test_camera_that_is_away_stands_above_and_makes_the_station_not_ready() -> None:
    east = CameraStatus("east", alarm="connection refused")
    text = "\n".join(drawn(view(replace(STATE, cameras=(*STATE.cameras, east)))))
    assert "● NOT READY  camera east: connection refused" in text
    assert text.index("● camera east") < text.index("● camera west")


def test_a_camera_shows_how_many_files_of_its_folder_were_recognised() -> None:
    (west,) = STATE.cameras
    text = "\n".join(drawn(view(replace(STATE, cameras=(replace(west, recognised=7),))), 120, 40))
    assert "1,234 frames, 0.1 s ago, 7 recognised" in text


def test_a_station_that_misses_many_parts_is_degraded_and_not_green() -> None:
    degraded = replace(STATE, degraded="34 of the last 100 parts were not inspected")
    text = "\n".join(drawn(view(degraded), 120, 40))
    assert "● DEGRADED  34 of the last 100 parts were not inspected" in text
    assert "● READY" not in text


def test_newest_part_and_message_stand_above() -> None:
    records = tuple(replace(RECORD, serial=f"part-{i}") for i in range(50))
    messages = tuple(("INFO", f"12:00:00 message {i}") for i in range(50))
    text = "\n".join(drawn(view(records=records, messages=messages)))
    assert text.index("part-49") < text.index("part-48")
    assert text.index("message 49") < text.index("message 48")
    assert "part-0 " not in text


def test_watch_follows_a_station_at_work(line: Line, sealed_bundle: Bundle) -> None:
    watch = Watch()
    assert "starting" in drawn(watch.draw())[0]
    source = FakeSource([picture(200), picture(50), picture(128)], Clock())
    with closing(Ledger(line.ledger, line.station)) as ledger:
        station = station_of(line, source, Inspector(sealed_bundle, 1), ledger)
        watch.follow(station)
        station.run(threading.Event(), watch.show)
        watch.emit(logging.LogRecord("x", logging.ERROR, "", 0, "at ftp://a:b@c", (), None))
        text = "\n".join(drawn(watch.draw()))
    for shown in ("part-2", "cells/3", "REVIEW", "at ftp://***@c", "3 frames"):
        assert shown in text
