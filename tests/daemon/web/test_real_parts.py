"""The source and the trigger that a line file names, behind the service."""

from __future__ import annotations

import threading

from pipeline.daemon.build import assembled
from pipeline.daemon.settings.http import Http
from pipeline.daemon.settings.line import CameraSettings, Line
from pipeline.daemon.sources import push
from pipeline.daemon.triggers import software
from pipeline.daemon.web.server import Web
from pipeline.registry.store import Registry
from tests.daemon.web.conftest import Sent, Served, until


def test_a_line_file_with_push_and_software_is_served(line: Line, champion: Registry) -> None:
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
        (web,) = [w for w in station._workers if isinstance(w, Web)]
        stop = threading.Event()
        thread = threading.Thread(target=station.run, args=(stop,), daemon=True)
        thread.start()
        served = Served(station, web, stop, thread, Sent())
        until(lambda: served.ask("GET", "/readyz").status == 200)
        assert served.send(50, "/inspect/pushed", x_serial="1").json["verdict"] == "FAIL"
        assert served.send(200, "/inspect/fired").status == 202
        until(lambda: station.status().cameras[1].frames == 1)
        assert served.ask("POST", "/trigger/fired?serial=2").json["verdict"] in (
            "PASS",
            "NOT_INSPECTED",
        )
        assert served.ask("POST", "/trigger?serial=3").status == 200
        served.end()
