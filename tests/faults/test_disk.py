"""A full disk: parts are judged as long as their records can be written, and no longer."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from pipeline.ledger.ledger import Ledger
from tests.daemon.disk import fill, small_disk
from tests.faults.conftest import SOAK, Plant
from tests.registry.conftest import free_port

pytestmark = pytest.mark.slow

MB = 2**20
FILLED = 5 if SOAK else 1  # times


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """The station's disk: room for its reserve of 16 MB twice, and for some records."""
    with small_disk(tmp_path / "station", 48 * MB) as disk:
        yield disk


def asked(port: int, path: str) -> dict[str, Any]:
    """What the station answers, whatever its status."""
    try:
        answer = urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5)
    except HTTPError as refused:
        answer = refused
    with answer:
        status: dict[str, Any] = json.load(answer)
    return status


def test_no_verdict_is_given_that_cannot_be_recorded_and_every_part_is_accounted_for_later(
    plant: Plant, small: Path, recovered: Callable[[str, float], None]
) -> None:
    port = free_port()
    station = plant.inspecting(plant.line(http={"port": port, "open_on_loopback": True}))

    def not_ready() -> list[str]:
        return list(asked(port, "readyz")["reasons"])

    reserve = small / "ledger.sqlite.reserve"
    for _ in range(FILLED):
        station.wait_for(reserve.is_file, "the reserve is set aside")
        fill(small / "others.bin")
        station.wait_for(lambda: not reserve.exists(), "the reserve is given up")
        recovered("disk full, reserve given up; next verdicts", station.wait_for_more(20))
        assert not_ready() == []
        fill(small / "more.bin")
        station.wait_for(not_ready, "readiness reports it")
        assert "full" in not_ready()[0]
        before = plant.book.closed
        time.sleep(1)  # the fault itself
        assert plant.book.closed == before
        (small / "others.bin").unlink()
        (small / "more.bin").unlink()
        recovered("room on the disk; next verdicts", station.wait_for_more())
        assert not_ready() == []
    came = asked(port, "status")["cameras"][0]["frames"]
    station.end()
    assert plant.book.closed >= came
    assert "its reserve of 16 MB was given up" in station.logged
    assert "no part can be inspected" in station.logged
    assert plant.book.count("reason LIKE 'ledger: %full%'") > 30
    assert plant.book.count("reason LIKE 'ledger:%'") < plant.book.closed
    plant.book.assert_no_part_was_missed()


def test_a_folder_of_frames_on_a_full_disk_stops_no_inspection(
    plant: Plant, tmp_path: Path, recovered: Callable[[str, float], None]
) -> None:
    keep = {"folder": "frames", "verdicts": ["FAIL", "REVIEW"], "min_free_gb": 0}
    with small_disk(tmp_path / "frames", MB) as disk:
        station = plant.inspecting(plant.line(keep=keep))
        station.wait_for(lambda: plant.book.count("image != ''"), "a frame is kept")
        fill(disk / "others.bin")
        station.wait_for_words("frames cannot be written to frames: ")
        recovered("no room for frames; next verdicts", station.wait_for_more(20))
        kept = plant.book.count("image != ''")
        (disk / "others.bin").unlink()
        started = time.monotonic()
        station.wait_for(lambda: plant.book.count("image != ''") > kept, "frames are kept again")
        recovered("room for frames; the next is kept", time.monotonic() - started)
        station.end()
    plant.book.assert_no_part_was_missed()


@pytest.mark.soak
def test_a_station_that_ends_on_a_full_disk_logs_what_is_lost_and_leaves_a_sound_ledger(
    plant: Plant, tmp_path: Path, recovered: Callable[[str, float], None]
) -> None:
    with small_disk(tmp_path / "station", 4 * MB) as disk:
        station = plant.inspecting(plant.line())
        assert "no 16 MB can be set aside for the ledger" in station.logged
        fill(disk / "others.bin")
        station.wait_for_words("no part can be inspected")
        time.sleep(0.5)  # some triggers that cannot be recorded
        started = time.monotonic()
        station.process.terminate()
        assert station.process.wait(60) == 1, station.logged
        recovered("disk still full; station ended", time.monotonic() - started)
        assert "triggers are not in the ledger" in station.logged
        assert "Traceback" not in station.logged
        (disk / "others.bin").unlink()
        Ledger(plant.book.path, "west-1").close()  # as the next start does
        plant.book.assert_balanced()
