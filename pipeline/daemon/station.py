"""The station: starts its workers, replaces hung ones, and shuts down without losing a part."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.contracts.records import STOPPED, Record, Verdict
from pipeline.daemon.images.writer import ImageWriter, StorageStatus
from pipeline.daemon.inspection.camera import Camera
from pipeline.daemon.inspection.listening import ListeningLog
from pipeline.daemon.inspection.recorder import Recorder
from pipeline.daemon.inspection.work_queue import Arrival, WorkQueue
from pipeline.daemon.inspection.worker import InspectionWorker, ReadyModel
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
STOPPING = "the station is stopping"
RELOADED_WITHIN_S = 20.0  # the largest model loads in far less

log = logging.getLogger(__name__)


class Worker(Protocol):
    """A worker off the path of a frame: dispatcher, image writer, web service."""

    @property
    def name(self) -> str: ...

    @property
    def idle(self) -> bool:
        """Is there no unfinished work that could be finished now?"""
        ...

    @property
    def status(self) -> SinkStatus | StorageStatus | None:
        """Its part of the station's status, if any."""
        ...

    def run(self, heartbeat: Heartbeat) -> None: ...


class Model(Protocol):
    """The model at work, as the station sees it."""

    @property
    def status(self) -> ModelStatus: ...

    @property
    def current(self) -> ReadyModel: ...

    def renew(self) -> None:
        """Load the model again, for a worker that replaces one that hangs in it."""
        ...


@dataclass(frozen=True)
class Summary:
    """One run of a station, counted from its ledger.

    Attributes:
        station, model_version, ledger: who inspected, with what, and where it is recorded.
        triggers: received; equals the sum of `verdicts`.
        verdicts: number of records by verdict.
        balances: whether that equation holds; it does not when triggers could not be recorded.
        seconds: duration of the run.
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
    """Cameras, one model, one ledger, and the workers that notify others.

    Attributes:
        stopping: why no more triggers are taken, "" while they are.
        work_queue, model: what waits for a verdict, and what gives it.
        with_shadow: adds the status of the shadow model to that of the model at work.
        kept: names of the cameras that stay open for a successor; None where there is none. Set
            before `run` is stopped. `run` takes out those that hang.
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
        listening: ListeningLog | None = None,
    ) -> None:
        self.kept: frozenset[str] | None = None
        self._listening = listening or ListeningLog(ledger, cameras, clock)
        self.cameras = tuple(cameras)
        self.ledger = ledger
        self.recorder = recorder
        self.image_writer = image_writer
        self.with_shadow: Callable[[ModelStatus], ModelStatus] = lambda state: state
        self.stopping = ""
        self._recipe = recipe
        self.work_queue = work_queue
        self.model = model
        self._inspection = inspection
        self._clock = clock
        self._rules = rules
        self._reserve = reserve
        self._workers: list[Worker] = [] if image_writer is None else [image_writer]
        self._supervisor = Supervisor(clock, rules.hung_after_s)
        self._started_at = clock.now()
        self._alarms = Alarms(clock, log)
        self._display_failed = False  # has `on_step` raised?
        self._model_suspect = False  # may a lost worker still be inside the model?

    def add_workers(self, *workers: Worker) -> None:
        """Add workers; before `run`."""
        self._workers += workers

    def run(
        self,
        stop: threading.Event,
        on_record: Callable[[Record], None] | None = None,
        on_step: Callable[[], None] = lambda: None,
    ) -> Summary:
        """Inspect until every source has ended or `stop` is set; waiting parts are finished first.

        Args:
            stop: set to end the station.
            on_record: called with each record after it is in the ledger.
            on_step: called ten times a second, by the main loop.

        Raises:
            StationError: too many workers hang; the process must be restarted.
        """
        started_s = self._clock.monotonic_s()
        if on_record is not None:
            self.recorder.subscribe(lambda record, frame: on_record(record))
        self._start()
        while not stop.is_set() and not self._finished and not self._supervisor.exhausted:
            self._supervisor.step()
            self._reserve.restore()
            self.recorder.recover()
            self._check_ledger_file()
            self._listening.step()
            self._show(on_step)
            self._clock.wait(stop, STEP_S)
        self._end(on_step)
        if self._supervisor.exhausted:
            raise StationError(self._supervisor.exhausted)
        return self._summary(self._clock.monotonic_s() - started_s)

    def status(self) -> StationStatus:
        """The station at this moment."""
        parts = [worker.status for worker in self._workers]
        model = self.model.status
        alarms = tuple(filter(None, (self.stopping, self.recorder.alarm, self._alarms.text)))
        return StationStatus(
            station=self.ledger.station,
            recipe=self._recipe,
            at=self._clock.now(),
            started_at=self._started_at,
            model=self.with_shadow(model),
            cameras=tuple(c.status for c in self.cameras),
            sinks=tuple(s for s in parts if isinstance(s, SinkStatus)),
            storage=next((s for s in parts if isinstance(s, StorageStatus)), None),
            ledger=self.ledger.status,
            verdicts=self.recorder.counters.verdicts,
            reasons=self.recorder.counters.reasons,
            triggers=self.recorder.triggers,
            waiting=self.work_queue.waiting,
            restarts=self._supervisor.restarts,
            alarms=alarms,
            last=self.recorder.counters.last,
            degraded=self.recorder.counters.degraded(self._rules.degraded_share),
            drift=self._inspection.drift.of(model.version),
        )

    @property
    def silent_s(self) -> float:
        """Seconds since the last step of the supervisor."""
        return self._supervisor.silent_s

    @property
    def _finished(self) -> bool:
        return all(camera.ended for camera in self.cameras) and self.work_queue.idle

    def _start(self) -> None:
        start = self._supervisor.start
        for worker in self._workers:
            start(worker.name, worker.run)
        start("inspection", self._inspect, self._inspection_lost)
        for camera in self.cameras:
            for of_camera in camera.workers:
                start(*of_camera)

    def _check_ledger_file(self) -> None:
        self.ledger.check_lock(self._clock.now())
        if wrong := self.ledger.astray or self.ledger.damage:
            self._alarms.raise_("ledger", wrong)
        else:
            self._alarms.clear("ledger")

    def _inspect(self, heartbeat: Heartbeat) -> None:
        """Judge, with the model loaded again if the last worker was lost in it.

        Loaded here, not in `on_lost`: if loading hangs, this worker is replaced in its turn; a hung
        supervisor would stop the whole station.
        """
        if self._model_suspect:
            heartbeat.beat(RELOADED_WITHIN_S)
            try:
                self.model.renew()
            except Exception:  # go on with the old one: parts must be judged
                log.exception("the model could not be loaded again")
            self._model_suspect = False
        self._inspection.run(heartbeat)

    def _inspection_lost(self, why: str) -> None:
        self._model_suspect = True
        self._inspection.abandon(why)

    def _end(self, on_step: Callable[[], None]) -> None:
        """Stop the triggers, finish waiting parts, then drain sinks and image writer.

        For a successor on the same ledger the sinks are not drained: it delivers what is due.
        """
        reloading = self.kept is not None
        self.stopping = "the station reads its line file again" if reloading else STOPPING
        self._supervisor.stop(*(w.name for c in self.cameras for w in c.workers))
        # The last part of each camera, whose record is open, is queued; then all are finished.
        hanging = set(self._supervisor.join(1.0))
        if self.kept is not None:
            hung = (c for c in self.cameras if not hanging.isdisjoint(w.name for w in c.workers))
            self.kept -= {camera.name for camera in hung}
        self._listening.end(self.stopping, self.kept or ())
        self._turn_away()
        self._until(lambda: self.work_queue.idle, on_step)
        self._refuse(self.work_queue.clear(), WAITING)
        self._supervisor.stop("inspection")
        self._supervisor.join(1.0)
        self.recorder.recover(at_once=True)
        self._refuse(self.recorder.left_open(), "the part was still being inspected")
        self._turn_away()  # parts that came meanwhile
        self.recorder.settle()
        finishing = self._workers
        if reloading:
            finishing = [w for w in self._workers if not isinstance(w, Dispatcher)]
        for worker in finishing:
            if isinstance(worker, Dispatcher):
                worker.drain()
        self._until(lambda: all(w.idle for w in finishing), on_step)
        self._supervisor.stop()
        hanging |= set(self._supervisor.join(2.0))
        if self.image_writer is not None:
            self.image_writer.drain(1.0)
        if hanging:
            log.warning("abandoned: %s", ", ".join(sorted(hanging)))
        for camera in self.cameras:
            hangs = not hanging.isdisjoint(w.name for w in camera.workers)
            if not hangs and camera.name not in (self.kept or ()):
                camera.source.close()
                if camera.trigger is not None:
                    camera.trigger.close()

    def _turn_away(self) -> None:
        for camera in self.cameras:
            if camera.name not in (self.kept or ()):
                camera.turn_away(f"{STOPPED}: {WAITING}")

    def _refuse(self, arrivals: Sequence[Arrival], why: str) -> None:
        """Close records of parts that will not be judged any more.

        If the ledger cannot be written, each would wait for it until the process is killed;
        therefore records are left open, and closed at the next start.
        """
        for arrival in arrivals:
            if self.recorder.alarm:
                log.error("records stay open until the next start: %s", self.recorder.alarm)
                return
            self.recorder.refuse(arrival, f"{STOPPED}: {why}")

    def _show(self, on_step: Callable[[], None]) -> None:
        """Call `on_step`; a terminal that is gone must not end the station."""
        if self._display_failed:
            return
        try:
            on_step()
        except Exception:
            self._display_failed = True
            log.exception("display failed; the station goes on without it")

    def _until(self, done: Callable[[], bool], on_step: Callable[[], None]) -> None:
        """Wait until `done`, for `drain_s` at most."""
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
            model_version=self.model.status.version,
            ledger=self.ledger.path,
            triggers=account.triggers + self.recorder.lost,
            verdicts=account.verdicts,
            balances=account.balances and not self.recorder.lost,
            seconds=seconds,
            latency_ms_p50=counters.latency_ms(0.5),
            latency_ms_p99=counters.latency_ms(0.99),
        )
