"""Cameras that are killed, that hang and that come back: noticed, named, and read again."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from pipeline.imaging import codec
from tests.daemon.conftest import picture
from tests.daemon.servers.mjpeg import Answer, Server
from tests.daemon.sources.test_rtsp import RtspCamera, why_not
from tests.faults.asking import Client, free_port
from tests.faults.conftest import JUDGED, SOAK, Plant, Running

pytestmark = pytest.mark.slow

TIMES = 5 if SOAK else 1
NOTICED_S, BACK_S = 2, 5  # what a loss may take to be noticed, and a verdict once it is over
OLDEST_MS = 500
FREE = f"camera = 'free' AND {JUDGED}"
AWAY = "no frame: the camera is away"
LOST = "SELECT at FROM events WHERE kind = 'camera lost' AND detail LIKE ? AND at > ?"


@pytest.fixture
def rtsp() -> Iterator[RtspCamera]:
    pytest.importorskip("av")
    if why_not():
        pytest.skip(why_not())
    camera = RtspCamera("jpeg")
    camera.on()
    yield camera
    camera.off()


def kill(camera: RtspCamera) -> Callable[[], None]:
    camera.off()
    return camera.on


def freeze(camera: RtspCamera) -> Callable[[], None]:
    camera.signal(signal.SIGSTOP)
    return lambda: camera.signal(signal.SIGCONT)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def noticed_s(station: Running, camera: str, since: str) -> float:
    """Seconds from `since` until the ledger says that the camera is lost."""
    (found, *_) = station.wait_for(
        lambda: station.book.ask(LOST, f"{camera}:%", since), f"{camera} is noticed to be lost"
    )
    return (datetime.fromisoformat(found[0]) - datetime.fromisoformat(since)).total_seconds()


@pytest.mark.parametrize("fault", [kill, freeze])
def test_a_camera_that_is_lost_is_noticed_and_read_again(
    plant: Plant,
    rtsp: RtspCamera,
    fault: Callable[[RtspCamera], Callable[[], None]],
    recovered: Callable[[str, float], None],
) -> None:
    source = {"type": "rtsp", "url": f"rtsp://127.0.0.1:{rtsp.port}/line1"}
    client = Client(free_port())
    file = plant.line(
        source=None,
        cameras=[
            {"name": "free", "source": source},
            {"name": "fired", "source": source, "trigger": {"type": "software"}},
        ],
        http={"port": client.port, "open_on_loopback": True},
    )
    station = plant.inspecting(file)
    station.wait_for(lambda: client.ready, "ready")
    for _ in range(TIMES):
        assert client.ask("POST", "/trigger/fired").json["frame_age_ms"] < 500
        since = now()
        repaired = fault(rtsp)
        seconds = noticed_s(station, "free", since)
        recovered(f"{fault.__name__}: loss noticed", seconds)
        assert seconds < NOTICED_S or not SOAK  # alone on its machine
        noticed_s(station, "fired", since)
        time.sleep(0.5)  # the last frame is young enough for a trigger so long (max_age_ms)
        record = client.ask("POST", "/trigger/fired?serial=A-7").json
        assert record["verdict"] == "NOT_INSPECTED"
        assert record["reason"].startswith(AWAY)
        assert not client.ready
        repaired()
        seconds = station.wait_for_more(1, FREE)
        recovered(f"{fault.__name__}: back; first verdict", seconds)
        assert seconds < BACK_S or not SOAK
        station.wait_for(lambda: client.ready, "ready again")
    station.end()
    assert plant.book.count("serial = 'A-7'") == TIMES


class Belt:
    """What an MJPEG camera shows: one picture after another, each a little different."""

    def __init__(self) -> None:
        self.stuck = threading.Event()

    def __call__(self, answer: Answer) -> None:
        answer.begin()
        shade = 0
        while not answer.server.off.wait(0.02):
            if not self.stuck.is_set():
                shade = (shade + 1) % 20
                answer.part(codec.encode_png(picture(190 + shade)))


def test_one_camera_that_hangs_keeps_no_other_from_its_work(
    plant: Plant, recovered: Callable[[str, float], None]
) -> None:
    with Server(belt := Belt()) as there, Server(Belt()) as other:
        station = plant.inspecting(
            plant.line(
                source=None,
                cameras=[
                    {"name": name, "source": {"type": "mjpeg", "url": f"http://127.0.0.1:{port}/"}}
                    for name, port in (("left", there.server_port), ("right", other.server_port))
                ],
                overload={"policy": "queue", "waiting": 1000},  # a slow machine refuses nothing
            )
        )
        left, right = (f"camera = '{name}' AND {JUDGED}" for name in ("left", "right"))
        station.wait_for_more(1, left)
        since = now()
        belt.stuck.set()
        recovered("MJPEG hangs: loss noticed", noticed_s(station, "left", since))
        before = plant.book.count(left)
        station.wait_for_more(30, right)
        assert plant.book.count(left) == before
        belt.stuck.clear()
        recovered("MJPEG goes on; first verdict", station.wait_for_more(1, left))
        station.end()
    # A machine that is busy with other tests may skip pictures, and says so; nothing else may.
    refused = (
        "SELECT reason FROM records WHERE camera = 'right' AND verdict = 'NOT_INSPECTED'"
        " AND reason NOT LIKE '%the station was busy%'"
    )
    assert plant.book.ask(refused) == []


def test_a_steady_trigger_gets_no_verdict_on_a_frame_that_is_too_old(
    plant: Plant, recovered: Callable[[str, float], None]
) -> None:
    steady = {"type": "interval", "every_ms": 100, "max_age_ms": OLDEST_MS, "wait_ms": 0}
    with Server(belt := Belt()) as there:
        url = f"http://127.0.0.1:{there.server_port}/"
        file = plant.line(source={"type": "mjpeg", "url": url}, trigger=steady)
        station = plant.inspecting(file)
        since, started = now(), time.monotonic()
        belt.stuck.set()
        stale = "SELECT seq FROM records WHERE reason LIKE 'no frame: %' AND captured_at > ?"
        rows = station.wait_for(lambda: plant.book.ask(stale, since), "the first without a frame")
        recovered("picture stands still; noticed", time.monotonic() - started)
        station.wait_for(lambda: len(plant.book.ask(stale, since)) > 10, "ten more")
        assert plant.book.count(f"seq >= ? AND {JUDGED}", rows[0][0]) == 0
        belt.stuck.clear()
        recovered("picture moves; next verdict", station.wait_for_more(1))
        station.end()
    assert plant.book.count(f"{JUDGED} AND frame_age_ms IS NULL") == 0
    assert plant.book.count(f"{JUDGED} AND frame_age_ms > ?", OLDEST_MS) == 0


@pytest.mark.soak
def test_a_station_starts_while_its_camera_is_switched_off(
    plant: Plant, recovered: Callable[[str, float], None]
) -> None:
    port = free_port()
    file = plant.line(source={"type": "mjpeg", "url": f"http://127.0.0.1:{port}/"})
    station = plant.start(file)
    away = "SELECT 1 FROM events WHERE kind = 'camera lost'"
    station.wait_for(lambda: plant.book.ask(away), "the loss is noted")
    time.sleep(0.5)  # some attempts
    with Server(Belt(), port=port):
        recovered("camera switched on; first verdict", station.wait_for_more(1))
        station.end()
    assert len(plant.book.ask(away)) == 1
