"""The station at work: its workers started, looked after, and ended without losing a part."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.images.writer import ImageWriter, StorageStatus
from pipeline.daemon.inspection.camera import Camera
from pipeline.daemon.inspection.counters import STOPPED
from pipeline.daemon.inspection.recorder import Recorder
from pipeline.daemon.inspection.work_queue import Arrival, WorkQueue
from pipeline.daemon.inspection.worker import InspectionWorker
from pipeline.daemon.model.serving import ModelStatus
from pipeline.daemon.outbox.dispatcher import Dispatcher, SinkStatus
from pipeline.daemon.runtime.alarms import Alarms
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.runtime.supervisor import Supervisor
from pipeline.daemon.settings.line import Supervision
from pipeline.daemon.status import StationStatus
from pipeline.errors import StationError
from pipeline.ledger.disk_reserve import DiskReserve
from pipeline.ledger.ledger import Ledger

STEP_S = 0.1
WAITING = "the part was still waiting"
RENEWED_WITHIN_S = 20.0  # the largest model loads in far less

log = logging.getLogger(__name__)


class Worker(Protocol):
    """A worker off the path of a frame: a dispatcher, the image writer, the web service."""

    @property
    def name(self) -> str: ...

    @property
    def idle(self) -> bool:
        """Has it nothing to finish that could be finished now?"""
        ...

    @property
    def status(self) -> SinkStatus | StorageStatus | None:
        """What the station's state says of it, if anything."""
        ...

    def run(self, heartbeat: Heartbeat) -> None: ...


class Model(Protocol):
    """What the station knows of the model at work."""

    @property
    def status(self) -> ModelStatus: ...

    def renew(self) -> None:
        """Load the model at work anew, for a worker that replaces one that hangs in it."""
        ...


@dataclass(frozen=True)
class Summary:
    """One run of a station, counted from its ledger.

    Attributes:
        station, model_version, ledger: who inspected, with what, and where it stands.
        triggers: frames that arrived; it equals the sum of `verdicts`.
        verdicts: how many records bear each verdict.
        balances: whether that equation holds; it does not when triggers could not be recorded.
        seconds: how long it ran.
        latency_ms_p50, latency_ms_p99: trigger to verdict; None when nothing was inspected.
    """

    station: str
    model_version: str
    ledger: Path
    triggers: int
    verdicts: dict[Verdict, int]
    balances: bool
    seconds: float
    latency_ms_p50: float | None
    latency_ms_p99: float | None

    @property
    def rate_hz(self) -> float:
        """Frames a second."""
        return self.triggers / self.seconds if self.seconds > 0 else 0.0


class Station:
    """Cameras, one model, one ledger, and whoever is told.

    Attributes:
        stopping: why no more triggers are taken, "" while they are.
    """

    def __init__(
        self,
        recipe: str,
        ledger: Ledger,
        recorder: Recorder,
        work_queue: WorkQueue,
        cameras: Sequence[Camera],
        model: Model,
        inspection: InspectionWorker,
        clock: Clock,
        rules: Supervision,
        reserve: DiskReserve,
        image_writer: ImageWriter | None = None,
    ) -> None:
        self.cameras = tuple(cameras)
        self.ledger = ledger
        self.recorder = recorder
        self.image_writer = image_writer
        self.with_shadow: Callable[[ModelStatus], ModelStatus] = lambda state: state
        self.stopping = ""
        self._recipe = recipe
        self._work_queue = work_queue
        self._model = model
        self._inspection = inspection
        self._clock = clock
        self._rules = rules
        self._reserve = reserve
        self._workers: list[Worker] = [] if image_writer is None else [image_writer]
        self._supervisor = Supervisor(clock, rules.hung_after_s)
        self._started_at = clock.now()
        self._alarms = Alarms(clock, log)
        self._blind = False  # could nobody be shown how it goes?
        self._doubtful = False  # may a worker that was lost still be inside the model?

    def add_workers(self, *workers: Worker) -> None:
        """Add workers; before `run`."""
        self._workers += workers

    def run(
        self,
        stop: threading.Event,
        on_record: Callable[[Record], None] | None = None,
        on_step: Callable[[], None] = lambda: None,
    ) -> Summary:
        """Inspect until every source has ended or `stop` is set; what waits is finished first.

        Args:
            stop: set by whoever ends the station.
            on_record: called with each record after it is in the ledger.
            on_step: called ten times a second while the station looks after its workers.

        Raises:
            StationError: too many workers hang; the process must be started anew.
        """
        started_s = self._clock.monotonic_s()
        if on_record is not None:
            self.recorder.subscribe(lambda record, frame: on_record(record))
        self._start()
        while not stop.is_set() and not self._finished and not self._supervisor.exhausted:
            self._supervisor.step()
            self._reserve.restore()
            self.recorder.recover()
            self._look_for_the_ledger()
            self._show(on_step)
            self._clock.wait(stop, STEP_S)
        self._end(on_step)
        if self._supervisor.exhausted:
            raise StationError(self._supervisor.exhausted)
        return self._summary(self._clock.monotonic_s() - started_s)

    def status(self) -> StationStatus:
        """The station at this moment."""
        told = [worker.status for worker in self._workers]
        model = self._model.status
        model = replace(model, drift=self._inspection.drift.of(model.version))
        alarms = tuple(filter(None, (self.stopping, self.recorder.alarm, self._alarms.text)))
        return StationStatus(
            station=self.ledger.station,
            recipe=self._recipe,
            at=self._clock.now(),
            started_at=self._started_at,
            model=self.with_shadow(model),
            cameras=tuple(c.status for c in self.cameras),
            sinks=tuple(s for s in told if isinstance(s, SinkStatus)),
            storage=next((s for s in told if isinstance(s, StorageStatus)), None),
            ledger=self.ledger.status,
            verdicts=self.recorder.counters.verdicts,
            reasons=self.recorder.counters.reasons,
            triggers=self.recorder.triggers,
            waiting=self._work_queue.waiting,
            restarts=self._supervisor.restarts,
            alarms=alarms,
            last=self.recorder.counters.last,
        )

    @property
    def silent_s(self) -> float:
        """Seconds since anybody looked after the workers."""
        return self._supervisor.silent_s

    @property
    def _finished(self) -> bool:
        return all(camera.ended for camera in self.cameras) and self._work_queue.idle

    def _start(self) -> None:
        start = self._supervisor.start
        for worker in self._workers:
            start(worker.name, worker.run)
        start("inspection", self._inspect, self._inspection_lost)
        for camera in self.cameras:
            reader, *caller = _workers_of(camera)
            start(reader, camera.read, camera.lost)
            for name in caller:
                start(name, camera.call)

    def _look_for_the_ledger(self) -> None:
        if astray := self.ledger.astray:
            self._alarms.raise_("ledger", astray)
        else:
            self._alarms.clear("ledger")

    def _inspect(self, heartbeat: Heartbeat) -> None:
        """Judge, by a model loaded anew if the last worker was lost in it.

        Loaded here, not where the loss is noticed: where it hangs again, this worker is replaced in
        its turn, while the supervisor would take the whole station with it.
        """
        if self._doubtful:
            heartbeat.beat(RENEWED_WITHIN_S)
            try:
                self._model.renew()
            except Exception:  # the old one must do: parts are to be judged
                log.exception("the model could not be loaded anew")
            self._doubtful = False
        self._inspection.run(heartbeat)

    def _inspection_lost(self, why: str) -> None:
        self._doubtful = True
        self._inspection.abandon(why)

    def _end(self, on_step: Callable[[], None]) -> None:
        """No more triggers; then what waits; then those who are told of it."""
        self.stopping = "the station is stopping"
        self._supervisor.stop(*(name for c in self.cameras for name in _workers_of(c)))
        # The last part that a camera has opened a record for is let in, then all are finished.
        self._supervisor.join(1.0)
        self._turn_away()
        self._until(lambda: self._work_queue.idle, on_step)
        self._refuse(self._work_queue.clear(), WAITING)
        self._supervisor.stop("inspection")
        self._supervisor.join(1.0)
        self.recorder.recover(at_once=True)
        self._refuse(self.recorder.left_open(), "the part was still being inspected")
        self._turn_away()  # what has come meanwhile
        self.recorder.settle()
        for worker in self._workers:
            if isinstance(worker, Dispatcher):
                worker.drain()
        self._until(lambda: all(w.idle for w in self._workers), on_step)
        self._supervisor.stop()
        hanging = set(self._supervisor.join(2.0))
        if self.image_writer is not None:
            self.image_writer.drain(1.0)
        if hanging:
            log.warning("left behind: %s", ", ".join(sorted(hanging)))
        for camera in self.cameras:
            if hanging.isdisjoint(_workers_of(camera)):
                camera.source.close()
                if camera.trigger is not None:
                    camera.trigger.close()

    def _turn_away(self) -> None:
        for camera in self.cameras:
            camera.turn_away(f"{STOPPED}: {WAITING}")

    def _refuse(self, arrivals: Sequence[Arrival], why: str) -> None:
        """Close records that get no verdict any more.

        Where the ledger cannot be written each would wait for it, until whoever ends the station
        kills it: those left open are closed at the next start.
        """
        for arrival in arrivals:
            if self.recorder.alarm:
                log.error("records stay open until the next start: %s", self.recorder.alarm)
                return
            self.recorder.refuse(arrival, f"{STOPPED}: {why}")

    def _show(self, on_step: Callable[[], None]) -> None:
        """Let somebody look on; a terminal that is gone must not end the station."""
        if self._blind:
            return
        try:
            on_step()
        except Exception:
            self._blind = True
            log.exception("the station goes on without showing how")

    def _until(self, done: Callable[[], bool], on_step: Callable[[], None]) -> None:
        """Wait for something, for as long as draining may take."""
        until_s = self._clock.monotonic_s() + self._rules.drain_s
        never = threading.Event()
        while not done() and self._clock.monotonic_s() < until_s:
            self._supervisor.step()
            self.recorder.recover()
            self._show(on_step)
            self._clock.wait(never, STEP_S / 10)

    def _summary(self, seconds: float) -> Summary:
        account = self.ledger.account(self.ledger.started_after)
        counters = self.recorder.counters
        return Summary(
            station=self.ledger.station,
            model_version=self._model.status.version,
            ledger=self.ledger.path,
            triggers=account.triggers + self.recorder.lost,
            verdicts=account.verdicts,
            balances=account.balances and not self.recorder.lost,
            seconds=seconds,
            latency_ms_p50=counters.latency_ms(0.5),
            latency_ms_p99=counters.latency_ms(0.99),
        )


def _workers_of(camera: Camera) -> tuple[str, ...]:
    """Names: who reads its frames and, where it has a trigger, who answers that."""
    reader = f"camera {camera.name}"
    return (reader,) if camera.trigger is None else (reader, f"trigger of {camera.name}")
