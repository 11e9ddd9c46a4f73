"""What the station tells of itself and its parts: health, state, figures, records, frames."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.daemon.images.writer import StorageStatus
from pipeline.daemon.inspection.drift import DriftStatus, Level
from pipeline.daemon.outbox.dispatcher import SinkStatus
from pipeline.daemon.station import Station
from pipeline.daemon.status import StationStatus
from pipeline.daemon.web import app
from pipeline.daemon.web.metrics import Metrics
from pipeline.errors import SourceLost
from pipeline.imaging import codec
from pipeline.ledger.database import LedgerStatus
from tests.daemon.conftest import picture
from tests.daemon.web.conftest import Serve, Served

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def figures(served: Served) -> Samples:
    """All samples of a scrape by name and labels."""
    return samples_of(served.ask("GET", "/metrics").body.decode())


def samples_of(text: str) -> Samples:
    return {
        (sample.name.removeprefix("lineside_"), tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, tuple(sorted(labels.items()))]


def test_figures_count_verdicts_by_camera_and_reasons_by_kind(serve: Serve) -> None:
    served = serve("top", "side")
    for brightness in (200, 200, 50):
        served.send(brightness, "/inspect/top")
    served.ask("POST", "/inspect/side", b"nothing", content_type="image/png")
    seen = figures(served)
    assert value(seen, "triggers_total") == 4
    assert value(seen, "verdicts_total", camera="top", verdict="PASS") == 2
    assert value(seen, "verdicts_total", camera="top", verdict="FAIL") == 1
    assert value(seen, "verdicts_total", camera="side", verdict="NOT_INSPECTED") == 1
    assert value(seen, "not_inspected_total", reason="unreadable") == 1
    assert value(seen, "camera_frames_total", camera="top") == 3
    assert value(seen, "camera_up", camera="top") == 1
    assert value(seen, "camera_frame_age_seconds", camera="side") >= 0


def test_the_latency_histogram_is_cumulative_and_counts_judged_parts(serve: Serve) -> None:
    served = serve()
    answers = [served.send().json["latency_ms"] for _ in range(3)]
    seen = figures(served)
    buckets = [n for (name, _), n in seen.items() if name == "latency_seconds_bucket"]
    assert buckets == sorted(buckets)
    assert value(seen, "latency_seconds_bucket", le="+Inf") == 3
    assert value(seen, "latency_seconds_count") == 3
    assert value(seen, "latency_seconds_sum") == pytest.approx(sum(answers) / 1e3)


def test_figures_name_the_station_its_model_and_the_process(serve: Serve) -> None:
    served = serve()
    seen = figures(served)
    sha256 = served.station.status().model.bundle_sha256
    assert value(seen, "station_info", station="west-1", recipe="cells") == 1
    assert value(seen, "model_info", version="cells/3", bundle_sha256=sha256, shadow="") == 1
    assert value(seen, "ready") == value(seen, "ledger_up") == 1
    assert value(seen, "process_resident_memory_bytes") > 1e6


def test_figures_tell_how_many_frames_wait_and_how_often_a_camera_came_back(
    station: Station,
) -> None:
    state = station.status()
    west, east = replace(state.cameras[0], name="west", reconnects=3), state.cameras[0]
    busy = replace(state, waiting=12, cameras=(west, replace(east, name="east")))
    seen = samples_of(Metrics(lambda: busy, station.recorder).text("")[0].decode())
    assert value(seen, "waiting_frames") == 12
    assert value(seen, "camera_reconnects_total", camera="west") == 3
    assert value(seen, "camera_reconnects_total", camera="east") == 0


def test_figures_tell_how_large_the_ledger_is_and_what_its_disk_has_room_for(
    station: Station,
) -> None:
    state = replace(station.status(), ledger=LedgerStatus(123_456, 789))
    seen = samples_of(Metrics(lambda: state, station.recorder).text("")[0].decode())
    assert value(seen, "ledger_bytes") == 123_456
    assert value(seen, "ledger_disk_free_bytes") == 789


def test_a_ledger_whose_size_nobody_can_tell_has_none(station: Station) -> None:
    state = replace(station.status(), ledger=LedgerStatus())
    seen = samples_of(Metrics(lambda: state, station.recorder).text("")[0].decode())
    assert ("ledger_bytes", ()) not in seen


def test_the_state_tells_the_size_of_the_ledger(serve: Serve) -> None:
    served = serve()
    told = served.ask("GET", "/status").json["ledger"]
    assert told["size_bytes"] >= served.station.ledger.path.stat().st_size > 0
    assert told["free_bytes"] > 0


def test_figures_tell_of_sinks_storage_and_shadow(station: Station) -> None:
    state = station.status()
    full = replace(
        state,
        sinks=(SinkStatus("mqtt", up=False, alarm="away", delivered=5, due=7, dead=2),),
        storage=StorageStatus(kept_bytes=10, quota_bytes=100, days_left=2, left_out=1),
        model=replace(state.model, shadow="cells/4", shadowed=9, disagreements=3),
        restarts=6,
    )
    text, _ = Metrics(lambda: full, station.recorder).text("")
    seen = samples_of(text.decode())
    assert value(seen, "sink_up", sink="mqtt") == 0
    assert value(seen, "outbox_due", sink="mqtt") == 7
    assert value(seen, "outbox_dead", sink="mqtt") == 2
    assert value(seen, "sink_delivered_total", sink="mqtt") == 5
    assert value(seen, "storage_kept_bytes") == 10
    assert value(seen, "storage_left_seconds") == timedelta(days=2).total_seconds()
    assert value(seen, "shadow_disagreements_total", shadow="cells/4") == 3
    assert value(seen, "worker_restarts_total") == 6


def test_figures_tell_how_parts_look_to_the_model(serve: Serve) -> None:
    served = serve()
    scores = [served.send(brightness).json["defect_score"] for brightness in (200, 50)]
    seen = figures(served)
    assert value(seen, "model_judged_parts") == 2
    assert value(seen, "defect_score_mean") == pytest.approx(sum(scores) / 2)
    assert ("defect_score_first_mean", ()) not in seen  # until so many parts came
    assert ("novelty_ratio_mean", ()) not in seen  # this bundle has no examples


def test_figures_compare_with_the_first_parts_of_the_model(station: Station) -> None:
    state = station.status()
    drift = DriftStatus(500, Level(0.3, 0.1), Level(2.5, 1.0))
    later = replace(state, drift=drift)
    text, _ = Metrics(lambda: later, station.recorder).text("")
    seen = samples_of(text.decode())
    assert value(seen, "defect_score_mean") == 0.3
    assert value(seen, "defect_score_first_mean") == 0.1
    assert value(seen, "novelty_ratio_mean") == 2.5
    assert value(seen, "novelty_ratio_first_mean") == 1.0


def test_figures_come_in_open_metrics_where_that_is_asked_for(serve: Serve) -> None:
    served = serve()
    reply = served.ask("GET", "/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert reply.headers["content-type"].startswith("application/openmetrics-text")
    assert reply.body.endswith(b"# EOF\n")


def test_a_station_whose_camera_is_away_is_alive_and_not_ready(serve: Serve) -> None:
    served = serve()
    served.station.cameras[0].lost(str(SourceLost("no route to camera")))
    ready = served.ask("GET", "/readyz")
    assert ready.status == 503
    assert ready.json == {"ready": False, "reasons": ["camera camera: no route to camera"]}
    assert served.ask("GET", "/healthz").json == {"alive": True}
    assert value(figures(served), "ready") == 0


def test_a_station_that_nobody_looks_after_is_not_alive(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()
    monkeypatch.setattr(app, "STALLED_AFTER_S", -1.0)
    reply = served.ask("GET", "/healthz")
    assert (reply.status, reply.json["alive"]) == (503, False)


def test_the_status_is_the_stations_state(serve: Serve) -> None:
    served = serve()
    record = served.send(50).json
    told = served.ask("GET", "/status").json
    assert told["last"] == record
    assert told["verdicts"]["FAIL"] == 1
    assert told["model"]["version"] == "cells/3"
    fields = set(StationStatus.__dataclass_fields__)
    assert set(told) == fields - {"alarms", "drift"} | {"trouble", "not_ready"}
    assert told["model"]["drift"]["parts"] == 1
    assert told["cameras"][0]["trouble"] == told["model"]["trouble"] == ""


def test_records_are_found_by_id_and_by_serial_newest_first(serve: Serve) -> None:
    served = serve()
    first, second = (
        served.send(n, x_serial="SN 1/ü".encode().decode("latin-1")) for n in (200, 50)
    )
    found = served.ask("GET", "/records?serial=SN%201/%C3%BC")
    assert found.json == [second.json, first.json]
    assert served.ask("GET", f"/records/{first.json['id']}").json == first.json


def test_an_unknown_record_is_none(serve: Serve) -> None:
    served = serve()
    assert served.ask("GET", "/records/none").status == 404
    assert served.ask("GET", "/records?serial=none").json == []
    assert served.ask("GET", "/records").status == 422


def test_a_ledger_that_cannot_be_read_is_told(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()

    def broken(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(sqlite3, "connect", broken)
    reply = served.ask("GET", "/records/1")
    assert (reply.status, "disk I/O error" in reply.detail) == (503, True)


def test_a_reader_of_records_keeps_no_verdict_waiting(serve: Serve) -> None:
    served = serve()
    with closing(sqlite3.connect(served.station.ledger.path)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM records").fetchone()
        assert served.send().json["verdict"] == "PASS"
        assert len(served.ask("GET", "/records?serial=").json) == 1


def kept(served: Served, folder: Path, name: str, data: bytes | None) -> str:
    """The id of a record whose frame is in the folder."""
    identity: str = served.send().json["id"]
    if data is not None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    served.station.ledger.note_image(identity, name)
    return identity


def test_a_kept_frame_is_shown_as_the_camera_gave_it(serve: Serve, tmp_path: Path) -> None:
    served = serve(frames=tmp_path / "kept")
    data = codec.encode_png(picture(200)) + bytes(600_000)
    identity = kept(served, tmp_path / "kept", "2026-11-23/1.png", data)
    reply = served.ask("GET", f"/records/{identity}/frame")
    assert (reply.status, reply.headers["content-type"]) == (200, "image/png")
    assert reply.body == data


@pytest.mark.parametrize("name", ["gone.png", "../secret.png"])
def test_a_frame_that_is_gone_or_elsewhere_is_not_shown(
    serve: Serve, tmp_path: Path, name: str
) -> None:
    served = serve(frames=tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    (tmp_path / "secret.png").write_bytes(b"secret")
    identity = kept(served, tmp_path / "kept", name, None)
    reply = served.ask("GET", f"/records/{identity}/frame")
    assert (reply.status, reply.detail) == (404, f"no frame of record {identity} is kept")


def test_a_station_that_keeps_no_frames_shows_none(serve: Serve) -> None:
    served = serve()
    identity = served.send().json["id"]
    assert served.ask("GET", f"/records/{identity}/frame").status == 404
