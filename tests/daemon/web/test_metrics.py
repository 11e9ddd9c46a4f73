"""The station's figures as Prometheus reads them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.daemon.images.writer import StorageStatus
from pipeline.daemon.inspection.drift import DriftStatus, Level
from pipeline.daemon.outbox.dispatcher import SinkStatus
from pipeline.daemon.station import Station
from pipeline.daemon.web.metrics import Metrics
from pipeline.ledger.database import LedgerStatus
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


def test_a_station_that_is_not_ready_has_the_figure_0(station: Station) -> None:
    state = replace(station.status(), alarms=("ledger.sqlite: disk full",))
    seen = samples_of(Metrics(lambda: state, station.recorder).text("")[0].decode())
    assert value(seen, "ready") == 0


def test_figures_count_waiting_frames_and_reconnections_of_a_camera(
    station: Station,
) -> None:
    state = station.status()
    west, east = replace(state.cameras[0], name="west", reconnects=3), state.cameras[0]
    busy = replace(state, waiting=12, cameras=(west, replace(east, name="east")))
    seen = samples_of(Metrics(lambda: busy, station.recorder).text("")[0].decode())
    assert value(seen, "waiting_frames") == 12
    assert value(seen, "camera_reconnects_total", camera="west") == 3
    assert value(seen, "camera_reconnects_total", camera="east") == 0


def test_figures_count_the_files_that_a_watched_folder_has_recognised(station: Station) -> None:
    state = station.status()
    west = replace(state.cameras[0], name="west", recognised=7)
    seen = samples_of(
        Metrics(lambda: replace(state, cameras=(west,)), station.recorder).text("")[0].decode()
    )
    assert value(seen, "camera_files_recognised_total", camera="west") == 7


def test_figures_have_the_size_of_the_ledger_and_the_room_on_its_disk(
    station: Station,
) -> None:
    state = replace(station.status(), ledger=LedgerStatus(123_456, 789))
    seen = samples_of(Metrics(lambda: state, station.recorder).text("")[0].decode())
    assert value(seen, "ledger_bytes") == 123_456
    assert value(seen, "ledger_disk_free_bytes") == 789


def test_a_ledger_of_unknown_size_has_no_figure(station: Station) -> None:
    state = replace(station.status(), ledger=LedgerStatus())
    seen = samples_of(Metrics(lambda: state, station.recorder).text("")[0].decode())
    assert ("ledger_bytes", ()) not in seen


def test_figures_cover_sinks_storage_and_shadow(station: Station) -> None:
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


def test_figures_have_the_mean_score_of_the_latest_parts(serve: Serve) -> None:
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
