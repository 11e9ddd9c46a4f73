"""The status of a station: when it is ready, and the JSON that `/status` has always served."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from pipeline.daemon.images.writer import StorageStatus
from pipeline.daemon.inspection.camera import CameraStatus
from pipeline.daemon.inspection.drift import DriftStatus
from pipeline.daemon.model.serving import ModelStatus
from pipeline.daemon.outbox.dispatcher import SinkStatus
from pipeline.daemon.status import StationStatus

AT = datetime(2026, 11, 23, tzinfo=UTC)
STATUS = StationStatus(
    *("west-1", "cells", AT, AT),
    model=ModelStatus("cells/3", "0" * 64, AT),
    cameras=(CameraStatus("top", connected=True, alarm=""),),
)


def test_a_station_with_all_cameras_and_no_alarm_is_ready() -> None:
    assert STATUS.not_ready == ()


def test_alarms_and_cameras_without_frames_keep_it_from_being_ready() -> None:
    status = replace(STATUS, alarms=("disk full",), cameras=(CameraStatus("top"),))
    assert status.not_ready == ("disk full", "camera top: not connected yet")


def test_a_station_whose_model_was_withdrawn_is_not_ready() -> None:
    withdrawn = ModelStatus("", "", AT, missing="cells/1 was withdrawn by B. Sato")
    status = replace(STATUS, model=withdrawn)
    assert status.not_ready == ("no signed model: cells/1 was withdrawn by B. Sato",)


def test_a_sink_that_is_away_does_not_keep_it_from_being_ready() -> None:
    assert replace(STATUS, sinks=(SinkStatus("mes", up=False, alarm="away"),)).not_ready == ()


def test_alarms_are_served_under_the_key_that_clients_know() -> None:
    served = replace(
        STATUS,
        alarms=("disk full",),
        sinks=(SinkStatus("mes", up=False, alarm="away"),),
        storage=StorageStatus(alarm="no room"),
    ).as_dict()
    assert served["trouble"] == ("disk full",)
    parts = [served["model"], *served["cameras"], *served["sinks"], served["storage"]]
    assert [part["trouble"] for part in parts] == ["", "", "away", "no room"]
    assert "alarm" not in str(served)


def test_drift_is_served_with_the_model_it_belongs_to() -> None:
    served = replace(STATUS, drift=DriftStatus(parts=7)).as_dict()
    assert "drift" not in served
    assert served["model"]["drift"]["parts"] == 7
    assert served["not_ready"] == ()
