"""Runs worker threads and replaces those that died or hang, with growing pauses."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat

Run = Callable[[Heartbeat], None]
Lost = Callable[[str], None]

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 30.0
STABLE_AFTER_S = 60.0  # a worker that ran so long starts again with the first pause
# Python cannot kill a thread. Each abandoned one keeps its memory and perhaps its device; with so
# many the process ends, and systemd starts it again.
MOST_ABANDONED = 10

log = logging.getLogger(__name__)


@dataclass
class _SupervisedWorker:
    name: str
    run: Run
    on_lost: Lost | None
    heartbeat: Heartbeat
    thread: threading.Thread | None = None
    started_s: float = 0.0
    pause_s: float = FIRST_PAUSE_S
    due_s: float = 0.0
    error: BaseException | None = field(default=None)
    finished: bool = False


class Supervisor:
    """Runs each worker in a thread of its own. `step` is called often, always from one thread."""

    def __init__(self, clock: Clock, hung_after_s: float) -> None:
        self.restarts = 0
        self._abandoned: list[threading.Thread] = []
        self._clock = clock
        self._stepped_s = clock.monotonic_s()
        self._hung_after_s = hung_after_s
        self._workers: dict[str, _SupervisedWorker] = {}

    @property
    def abandoned(self) -> int:
        """How many abandoned threads still hang; those that woke up and ended do not count."""
        self._abandoned = [t for t in self._abandoned if t.is_alive()]
        return len(self._abandoned)

    @property
    def exhausted(self) -> str:
        """Why this process cannot go on, "" while it can."""
        hung = self.abandoned
        if hung < MOST_ABANDONED:
            return ""
        return f"{hung} workers hang and cannot be ended; the process must be restarted"

    @property
    def silent_s(self) -> float:
        """Seconds since the last step, for the watchdog of the thread that calls it."""
        return self._clock.monotonic_s() - self._stepped_s

    def start(self, name: str, run: Run, on_lost: Lost | None = None) -> None:
        """Start a worker.

        Args:
            name: of the worker, in messages.
            run: its work; returning without being asked to stop means that it has finished.
            on_lost: called with the reason when the worker died or hangs, before its replacement
                starts.
        """
        worker = _SupervisedWorker(name, run, on_lost, Heartbeat(self._clock))
        self._workers[name] = worker
        self._launch(worker)

    def finished(self, name: str) -> bool:
        """Has the worker returned without being asked to stop?"""
        return self._workers[name].finished

    def step(self) -> None:
        """Replace workers that died or hang, once their pause is over."""
        self._stepped_s = self._clock.monotonic_s()
        for worker in self._workers.values():
            if worker.thread is None:
                if not worker.heartbeat.stopping and self._clock.monotonic_s() >= worker.due_s:
                    self._launch(worker)
            elif not worker.thread.is_alive():
                if not worker.finished and not worker.heartbeat.stopping:
                    self._lost(worker, f"{type(worker.error).__name__}: {worker.error}")
            elif worker.heartbeat.silent_s > self._hung_after_s and not worker.heartbeat.stopping:
                self._abandoned.append(worker.thread)
                worker.heartbeat.stop()
                self._lost(worker, f"no sign of life for {worker.heartbeat.silent_s:.0f} s")

    def stop(self, *names: str) -> None:
        """Ask workers to stop; all of them if none is named."""
        for name in names or tuple(self._workers):
            self._workers[name].heartbeat.stop()

    def join(self, within_s: float) -> list[str]:
        """Wait for workers that were asked to stop; returns the names of those still running."""
        until_s = self._clock.monotonic_s() + within_s
        asked = [w for w in self._workers.values() if w.heartbeat.stopping and w.thread is not None]
        for worker in asked:
            assert worker.thread is not None
            worker.thread.join(max(0.0, until_s - self._clock.monotonic_s()))
        return [w.name for w in asked if w.thread is not None and w.thread.is_alive()]

    def _launch(self, worker: _SupervisedWorker) -> None:
        worker.heartbeat = heartbeat = Heartbeat(self._clock)
        worker.error, worker.started_s = None, self._clock.monotonic_s()

        def work() -> None:
            try:
                worker.run(heartbeat)
            except BaseException as error:
                log.debug("%s ended", worker.name, exc_info=True)
                if worker.heartbeat is heartbeat:
                    worker.error = error
            else:
                # An abandoned thread that wakes up does not finish its replacement's work.
                if worker.heartbeat is heartbeat and not heartbeat.stopping:
                    worker.finished = True

        # A daemon thread: one that hangs must not keep the process from ending.
        worker.thread = threading.Thread(target=work, name=worker.name, daemon=True)
        worker.thread.start()

    def _lost(self, worker: _SupervisedWorker, reason: str) -> None:
        now_s = self._clock.monotonic_s()
        if now_s - worker.started_s >= STABLE_AFTER_S:
            worker.pause_s = FIRST_PAUSE_S
        log.error("%s: %s; it is replaced in %.1f s", worker.name, reason, worker.pause_s)
        self.restarts += 1
        worker.thread, worker.due_s = None, now_s + worker.pause_s
        worker.heartbeat = Heartbeat(self._clock)
        worker.pause_s = min(2 * worker.pause_s, LONGEST_PAUSE_S)
        if worker.on_lost is None:
            return
        try:
            worker.on_lost(reason)
        except Exception:  # the supervisor of all workers must not die of one
            log.exception("%s: on_lost callback failed", worker.name)
