"""What systemd is sent, and the unit that it is given."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.contracts.records import Verdict
from pipeline.daemon.inspection.camera import CameraStatus
from pipeline.daemon.model.serving import ModelStatus
from pipeline.daemon.status import StationStatus
from pipeline.daemon.systemd import Watchdog, notify, reloading, status_line, stopping
from pipeline.testing import FakeClock

UNIT = Path(__file__).parents[2] / "deploy" / "lineside@.service"
MOST_EXPOSED = 2.0
RIGHTS = {"Type": ["notify"], "DynamicUser": ["yes"], "CapabilityBoundingSet": [""]}
NOW = FakeClock().now()
STATE = StationStatus(
    station="west-1",
    recipe="cells",
    at=NOW,
    started_at=NOW,
    model=ModelStatus("cells/3", "", NOW),
    cameras=(CameraStatus("west", connected=True, alarm=""),),
    verdicts={Verdict.PASS: 6, Verdict.FAIL: 1},
)

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


@pytest.fixture(params=["a path", "an abstract name"])
def systemd(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """The socket that systemd listens on."""
    name = str(tmp_path / "notify") if request.param == "a path" else f"@{tmp_path.name}-notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name.replace("@", "\0") if name.startswith("@") else name)
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield listener


def heard(systemd: socket.socket) -> list[list[str]]:
    """Each message that came."""
    messages = []
    while True:
        try:
            messages.append(systemd.recv(4096).decode().split("\n"))
        except BlockingIOError:
            return messages


def test_first_beat_notifies_ready_and_each_second_alive(systemd: socket.socket) -> None:
    clock = FakeClock()
    watchdog = Watchdog(lambda: STATE, clock)
    for _ in range(9):
        watchdog.beat()
        clock.advance(0.25)
    alive = ["WATCHDOG=1", "STATUS=ready; 7 inspected with cells/3"]
    assert heard(systemd) == [["READY=1", *alive], alive, alive]


def test_reload_that_was_refused_ends_with_ready(systemd: socket.socket) -> None:
    clock = FakeClock()
    watchdog = Watchdog(lambda: STATE, clock)
    watchdog.beat()
    reloading()
    watchdog.again()
    watchdog.beat()
    first, loading, again = heard(systemd)
    assert (first[0], again[0]) == ("READY=1", "READY=1")
    assert loading[0] == "RELOADING=1"
    assert re.fullmatch(r"MONOTONIC_USEC=\d+", loading[1])


def test_end_is_announced(systemd: socket.socket) -> None:
    stopping()
    assert heard(systemd)[0][0] == "STOPPING=1"


def test_status_is_one_line_with_the_reason_why_the_station_is_not_ready() -> None:
    away = replace(STATE, cameras=(CameraStatus("west", alarm="refused\nREADY=1"),))
    assert status_line(away) == "not ready: camera west: refused READY=1; 7 inspected with cells/3"


def test_systemd_that_does_not_listen_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    notify("READY=1")


def test_unit_gives_the_station_no_rights_and_waits_for_its_beats() -> None:
    sent = [line.split("=", 1) for line in UNIT.read_text("utf-8").splitlines() if "=" in line]
    # A second line of the same key would change what the first says.
    assert {key: [v for k, v in sent if k == key] for key in RIGHTS} == RIGHTS
    (limit_s,) = (int(v) for k, v in sent if k == "WatchdogSec")
    assert limit_s > 0


@pytest.mark.slow
@needs_systemd
def test_unit_is_understood_to_the_last_line(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    # The commands need not be installed here.
    unit.write_text(re.sub(r"/opt/lineside/\S+/lineside", "/bin/true", UNIT.read_text("utf-8")))
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True
    )
    # An unknown key is sent, and the exit code is 0 all the same.
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.slow
@needs_systemd
def test_unit_leaves_little_exposed(record_property: Callable[[str, object], None]) -> None:
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNIT)],
        capture_output=True,
        text=True,
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", rated.stdout)
    assert found is not None, rated.stderr
    record_property("systemd exposure", found.group(1))
    assert float(found.group(1)) <= MOST_EXPOSED
