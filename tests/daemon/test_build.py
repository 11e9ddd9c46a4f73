"""A station is built from its line file, and what cannot work is refused before it starts."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from pipeline.contracts.records import Verdict
from pipeline.daemon.build import announcement, assembled, open_cameras
from pipeline.daemon.inspection.camera import CameraStatus
from pipeline.daemon.model.serving import ModelStatus
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.settings.line import Line
from pipeline.daemon.status import StationStatus
from pipeline.daemon.triggers import interval
from pipeline.errors import ConfigError, NoChampion
from pipeline.registry.store import Registry


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
