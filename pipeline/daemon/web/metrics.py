"""The station's metrics for Prometheus, read from its status at each request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from pipeline.daemon.images.writer import StorageStatus
from pipeline.daemon.inspection.camera import CameraStatus
from pipeline.daemon.inspection.counters import Histogram
from pipeline.daemon.inspection.drift import PARTS, DriftStatus
from pipeline.daemon.inspection.recorder import Recorder
from pipeline.daemon.model.serving import ModelStatus
from pipeline.daemon.outbox.dispatcher import SinkStatus
from pipeline.daemon.status import StationStatus
from pipeline.ledger.database import LedgerStatus

DAY_S = 86_400

State = Callable[[], StationStatus]


class Metrics:
    """The answer to `GET /metrics`."""

    def __init__(self, state: State, recorder: Recorder) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(StationCollector(state, recorder))
        ProcessCollector(registry=self._registry)

    def text(self, accept: str) -> tuple[bytes, str]:
        """The figures and their media type, in the newest format that an `Accept` header takes."""
        encode, media_type = choose_encoder(accept)
        return encode(self._registry), media_type


class StationCollector(Collector):
    """Yields the figures of one moment. Inspecting counts nothing for it, so it costs no part."""

    def __init__(self, state: State, recorder: Recorder) -> None:
        self._state = state
        self._recorder = recorder

    def describe(self) -> list[Metric]:
        """Nothing: the registry would else read the station's state when it is set up."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The station, its ledger, verdicts, model, cameras, sinks and storage."""
        state, recorder = self._state(), self._recorder
        yield from _station(state)
        yield _gauge("ledger_up", "1 while records can be written.", not recorder.alarm)
        yield from _ledger(state.ledger)
        yield _count(
            "triggers_forgotten",
            "Triggers without a record: the ledger was away, and memory full of others.",
            recorder.forgotten,
        )
        yield _counts(
            "verdicts",
            "Closed records.",
            ("camera", "verdict"),
            (
                ((camera, verdict), n)
                for (camera, verdict), n in recorder.counters.by_camera.items()
            ),
        )
        yield _count(
            "challenge", "Records of known parts, in no other count.", recorder.counters.challenge
        )
        yield _counts(
            "not_inspected",
            "Parts that were not inspected.",
            ("reason",),
            (((reason,), n) for reason, n in state.reasons.items()),
        )
        yield _latency(recorder.counters.histogram)
        yield _steps(recorder.counters.steps)
        yield from _model(state.model, state.drift)
        yield from _cameras(state.cameras)
        yield from _sinks(state.sinks)
        if state.storage is not None:
            yield from _storage(state.storage)


def _station(state: StationStatus) -> Iterator[Metric]:
    yield _gauges(
        *("station_info", "Who this is.", ("station", "recipe")),
        [((state.station, state.recipe), 1)],
    )
    yield _gauge("start_time_seconds", "When it started.", state.started_at.timestamp())
    yield _gauge("ready", "1 while a part that comes gets a verdict.", not state.not_ready)
    yield _gauge("degraded", "1 while too many parts are not inspected.", bool(state.degraded))
    yield _count("triggers", "Triggers that came.", state.triggers)
    yield _gauge("waiting_frames", "Frames that wait for the network.", state.waiting)
    yield _count("worker_restarts", "Workers replaced since they died or hung.", state.restarts)


def _ledger(ledger: LedgerStatus) -> Iterator[Metric]:
    if ledger.size_bytes is not None:
        yield _gauge("ledger_bytes", "Of the ledger and its log, which grow.", ledger.size_bytes)
    if ledger.free_bytes is not None:
        yield _gauge("ledger_disk_free_bytes", "Of the ledger's disk.", ledger.free_bytes)


def _model(model: ModelStatus, drift: DriftStatus) -> Iterator[Metric]:
    yield _gauges(
        "model_info",
        "The model that judges, and the shadow model.",
        ("version", "bundle_sha256", "shadow"),
        [((model.version, model.bundle_sha256, model.shadow), 1)],
    )
    yield _gauge("model_since_seconds", "When it took over.", model.since.timestamp())
    yield _gauge("model_up_to_date", "0 while a newer one is refused.", not model.alarm)
    yield from _drift(drift)
    if model.shadow:
        labels, of = ("shadow",), (model.shadow,)
        yield _counts("shadow_frames", "Judged by both.", labels, [(of, model.shadowed)])
        yield _counts(
            "shadow_disagreements",
            "Of those, judged otherwise.",
            labels,
            [(of, model.disagreements)],
        )


def _drift(drift: DriftStatus) -> Iterator[Metric]:
    """Figures without a value yet are left out; compare the mean with the one of the first."""
    yield _gauge("model_judged_parts", "Since the model took over.", drift.parts)
    levels = (
        ("defect_score", "Defect score, 0 to 1", drift.defect_score),
        ("novelty_ratio", "Distance to training, in medians of evaluation", drift.novelty),
    )
    for name, what, level in levels:
        if level.now is not None:
            yield _gauge(f"{name}_mean", f"{what}: weighted mean of the latest parts.", level.now)
        if level.first is not None:
            text = f"{what}: mean of the first {PARTS} parts of this model."
            yield _gauge(f"{name}_first_mean", text, level.first)


def _cameras(cameras: Sequence[CameraStatus]) -> Iterator[Metric]:
    by = ("camera",)
    yield _gauges(
        "camera_up",
        "1 while frames come or could.",
        by,
        [((c.name,), c.connected) for c in cameras],
    )
    yield _counts(
        "camera_frames", "Frames that came.", by, [((c.name,), c.frames) for c in cameras]
    )
    yield _gauges(
        "camera_frame_age_seconds",
        "Since the capture of the last frame.",
        by,
        [((c.name,), c.frame_age_s) for c in cameras if c.frame_age_s is not None],
    )
    yield _counts(
        "camera_reconnects", "Reconnections.", by, [((c.name,), c.reconnects) for c in cameras]
    )
    yield _counts(
        "camera_files_recognised",
        "Files of a watched folder that were inspected before, and not again.",
        by,
        [((c.name,), c.recognised) for c in cameras],
    )


def _sinks(sinks: Sequence[SinkStatus]) -> Iterator[Metric]:
    by = ("sink",)
    yield _gauges(
        "sink_up", "1 while the last delivery succeeded.", by, [((s.name,), s.up) for s in sinks]
    )
    yield _counts(
        "sink_delivered", "Records delivered.", by, [((s.name,), s.delivered) for s in sinks]
    )
    yield _gauges("outbox_due", "Records to be delivered.", by, [((s.name,), s.due) for s in sinks])
    yield _gauges("outbox_dead", "Records given up.", by, [((s.name,), s.dead) for s in sinks])


def _storage(storage: StorageStatus) -> Iterator[Metric]:
    yield _gauge("storage_up", "1 while frames are kept as asked.", not storage.alarm)
    yield _gauge("storage_kept_bytes", "Of the frames that are kept.", storage.kept_bytes)
    if storage.quota_bytes is not None:
        yield _gauge("storage_quota_bytes", "How many there may be.", storage.quota_bytes)
    if storage.days_left is not None:
        left_s = storage.days_left * DAY_S
        yield _gauge("storage_left_seconds", "Until the quota at the present rate.", left_s)
    yield _count("storage_left_out", "Frames wanted and not kept.", storage.left_out)


def _latency(latency: Histogram) -> Metric:
    return HistogramMetricFamily(
        "lineside_latency_seconds",
        "Trigger to verdict of judged parts.",
        buckets=_buckets(latency),
        sum_value=latency.sum_ms / 1e3,
    )


def _steps(steps: Mapping[str, Histogram]) -> Metric:
    family = HistogramMetricFamily(
        "lineside_step_seconds",
        "What the latency consists of: waited, decoded, prepared, network; written is the commit "
        "of each record.",
        labels=["step"],
    )
    for step, found in sorted(steps.items()):
        family.add_metric([step], buckets=_buckets(found), sum_value=found.sum_ms / 1e3)
    return family


def _buckets(found: Histogram) -> list[tuple[str, float]]:
    """Prometheus' buckets are cumulative and end with +Inf."""
    edges = [*(str(edge / 1e3) for edge in found.edges_ms), "+Inf"]
    return list(zip(edges, accumulate(found.counts), strict=True))


Rows = Iterable[tuple[tuple[str, ...], float]]


def _gauges(name: str, text: str, labels: tuple[str, ...], rows: Rows) -> Metric:
    family = GaugeMetricFamily(f"lineside_{name}", text, labels=labels)
    for values, number in rows:
        family.add_metric(values, number)
    return family


def _counts(name: str, text: str, labels: tuple[str, ...], rows: Rows) -> Metric:
    """Prometheus adds `_total` to the name."""
    family = CounterMetricFamily(f"lineside_{name}", text, labels=labels)
    for values, number in rows:
        family.add_metric(values, number)
    return family


def _gauge(name: str, text: str, number: float) -> Metric:
    return _gauges(name, text, (), [((), number)])


def _count(name: str, text: str, number: float) -> Metric:
    return _counts(name, text, (), [((), number)])
