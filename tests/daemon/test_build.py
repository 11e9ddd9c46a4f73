"""A station is built from its line file, and what cannot work is refused before it starts."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime

import pytest

from pipeline.contracts.records import Verdict
from pipeline.daemon.build import announcement, assembled, open_cameras, prepare
from pipeline.daemon.inspection.camera import CameraStatus
from pipeline.daemon.model.serving import ModelStatus
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.settings.http import Http
from pipeline.daemon.settings.line import CameraSettings, Line
from pipeline.daemon.sources import push
from pipeline.daemon.status import StationStatus
from pipeline.daemon.triggers import interval, software
from pipeline.errors import ConfigError, NoChampion
from pipeline.registry.store import Registry
from tests.daemon.waiting import until
from tests.daemon.web.conftest import TIMEOUT_S, Client


def test_station_is_assembled_from_its_line_file(line: Line, champion: Registry) -> None:
    with assembled(line) as station:
        summary = station.run(threading.Event())
        serials = [r.serial for r in station.ledger.records()]
    assert summary.model_version == "cells/1"
    assert serials == ["a_good.png", "b_bad.png", "c_damaged.png", "tray/d_doubt.png"]
    assert summary.verdicts == dict.fromkeys(Verdict, 1)


def test_station_without_a_champion_leaves_no_ledger_behind(line: Line, registry: Registry) -> None:
    with pytest.raises(NoChampion), assembled(line):
        pass
    assert not line.ledger.parent.exists()


def test_a_trigger_for_a_source_that_waits_is_refused_with_the_remedy(line: Line) -> None:
    trigger = interval.Config(type="interval", every_ms=100)
    with pytest.raises(ConfigError, match=r"source replay waits .* leave `trigger` out"):
        open_cameras(line.model_copy(update={"trigger": trigger}), Clock())


def test_a_reload_keeps_the_cameras_and_the_model_that_have_not_changed(
    line: Line, champion: Registry
) -> None:
    clock, cameras = Clock(), {n: line.all_cameras[0].source for n in ("left", "right")}

    def of(**changed: object) -> Line:
        settings = [
            CameraSettings(
                name=name, source=source.model_copy(update=changed if name == "right" else {})
            )
            for name, source in cameras.items()
        ]
        return line.model_copy(update={"source": None, "cameras": tuple(settings)})

    former = prepare(of(), clock)
    same, changed = (prepare(of(**c), clock, former) for c in ({}, {"loop": True}))
    assert (set(same.kept), set(changed.kept)) == ({"left", "right"}, {"left"})
    assert same.cameras == former.cameras
    assert changed.cameras[0] is former.cameras[0]
    assert changed.cameras[1] is not former.cameras[1]
    assert same.serving is changed.serving is former.serving


def test_a_reload_keeps_no_camera_whose_callers_wait_for_answers(
    line: Line, champion: Registry
) -> None:
    sent = line.model_copy(update={"source": push.Config(type="push")})
    former = prepare(sent, Clock())
    assert prepare(sent, Clock(), former).kept == frozenset()


def test_what_sinks_announce_keeps_its_keys() -> None:
    at = datetime(2026, 11, 23, tzinfo=UTC)
    status = StationStatus(
        *("west-1", "cells", at, at),
        model=ModelStatus("cells/3", "0" * 64, at, alarm="cells/4 is refused"),
        cameras=(CameraStatus("top", connected=True, alarm=""), CameraStatus("side")),
    )
    assert announcement(status) == {
        "station": "west-1",
        "recipe": "cells",
        "online": True,
        "ready": False,
        "not_ready": ["camera side: not connected yet"],
        "model": "cells/3",
        "model_trouble": "cells/4 is refused",
        "cameras": {"top": True, "side": False},
    }


def test_a_line_file_with_push_and_software_is_served(
    line: Line, champion: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    cameras = (
        CameraSettings(name="pushed", source=push.Config(type="push")),
        CameraSettings(
            name="fired",
            source=push.Config(type="push"),
            trigger=software.Config(type="software", wait_ms=50),
        ),
    )
    settled = line.model_copy(
        update={"source": None, "cameras": cameras, "http": Http(port=0, open_on_loopback=True)}
    )
    with assembled(settled) as station:
        (address,) = [m for m in caplog.messages if m.startswith("web service at ")]
        client = Client(int(address.rpartition(":")[2]))
        stop = threading.Event()
        thread = threading.Thread(target=station.run, args=(stop,), daemon=True)
        thread.start()
        until(lambda: client.ask("GET", "/readyz").status == 200)
        assert client.send(50, "/inspect/pushed", x_serial="1").json["verdict"] == "FAIL"
        assert client.send(200, "/inspect/fired").status == 202
        until(lambda: station.status().cameras[1].frames == 1)
        assert client.ask("POST", "/trigger/fired?serial=2").json["verdict"] in (
            "PASS",
            "NOT_INSPECTED",
        )
        assert client.ask("POST", "/trigger?serial=3").status == 200
        stop.set()
        thread.join(TIMEOUT_S)
        assert not thread.is_alive()
