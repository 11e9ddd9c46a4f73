"""Runs the challenger on the same frames and records its verdicts, which have no effect.

It runs after the model at work, in a thread of lower priority, and skips frames where it cannot
keep up: a verdict never waits for it.
"""

from __future__ import annotations

import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.model.follower import Follower, LoadedModel
from pipeline.daemon.model.serving import ModelStatus
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import BEAT_EVERY_S, Heartbeat
from pipeline.daemon.settings.line import Line
from pipeline.daemon.sources import Frame
from pipeline.errors import LedgerError
from pipeline.ledger.ledger import Ledger
from pipeline.registry.store import Registry
from pipeline.registry.versions import CHALLENGER

TAKEN = "challenger in shadow"
WAITING = 4  # frames; a camera's may have 15 MB each
NICENESS = 10  # beside the inspection's 0: a tenth of the weight where cores are short

log = logging.getLogger(__name__)

# Verdicts of two models on the same frames, by the versions of both.
AGREEMENT = """
SELECT records.model_version AS judged_by, shadows.model_version AS shadow, count(*) AS frames,
       count(*) FILTER (WHERE records.verdict != shadows.verdict) AS disagreements
FROM shadows JOIN records ON records.id = shadows.record
WHERE shadows.verdict != 'NOT_INSPECTED'
GROUP BY 1, 2 ORDER BY 1, 2
"""


@dataclass(frozen=True)
class Agreement:
    """How many frames two versions have both judged, and how many differently."""

    judged_by: str
    shadow: str
    frames: int
    disagreements: int


def agreements(db: sqlite3.Connection) -> list[Agreement]:
    """Agreements of a ledger's shadowed frames, by the versions of both models."""
    return [Agreement(*row) for row in db.execute(AGREEMENT)]


class Shadow:
    """Runs the challenger, as long as there is one.

    Attributes:
        follower: watches the alias.
        left_out: frames skipped because it could not keep up.
    """

    def __init__(
        self,
        line: Line,
        registry: Registry,
        ledger: Ledger,
        clock: Clock,
        on_disagreement: Callable[[Frame, Record], object] = lambda frame, record: None,
    ) -> None:
        """Start without a challenger; the registry is not queried before `run`.

        Args:
            line: of the station; its cache gets a folder for challengers.
            registry: of the challengers.
            ledger: stores their verdicts.
            clock: of the station.
            on_disagreement: called in the shadow's thread with each frame that got another verdict,
                and its record, to keep it for review.
        """
        self.left_out = 0
        model = {"alias": CHALLENGER, "require_signoff": False}
        model["cache"] = line.model.cache / CHALLENGER
        of_challenger = line.model_copy(update={"model": line.model.model_copy(update=model)})
        # One thread: a pool would spin on a core that the verdict needs.
        self.follower = Follower(
            of_challenger, registry, clock, threads=1, drops_with_alias=True, taken=TAKEN
        )
        self._ledger = ledger
        self._on_disagreement = on_disagreement
        self._frames: queue.Queue[tuple[Record, Frame]] = queue.Queue(WAITING)
        self._counted = ("", 0, 0)  # one value: it is read from other threads
        self._alarm = ""
        self._idle_with = ""  # the challenger that is the model at work

    @property
    def name(self) -> str:
        """Name of the worker."""
        return "shadow"

    @property
    def idle(self) -> bool:
        """Always: the shutdown does not wait for it."""
        return True

    @property
    def status(self) -> None:
        """None: its status is part of the model's, see `with_shadow`."""
        return None

    @property
    def waiting(self) -> int:
        """Number of frames still to judge."""
        return self._frames.qsize()

    def offer(self, record: Record, frame: Frame) -> None:
        """Queue a frame for the challenger after its record was closed; returns at once.

        Args:
            record: as it was closed.
            frame: as the source gave it; the shadow decodes it if need be.
        """
        loaded = self.follower.current
        if loaded is None or record.verdict is Verdict.NOT_INSPECTED:
            return
        if record.model_version == loaded.version:
            self._log_idle(loaded.version)
            return
        try:
            self._frames.put_nowait((record, frame))
        except queue.Full:
            self.left_out += 1

    def _log_idle(self, version: str) -> None:
        if version != self._idle_with:
            log.warning(
                "the shadow is idle: the challenger, %s, is the model at work; register another "
                "version as challenger, or set `model.shadow: false`",
                version,
            )
        self._idle_with = version

    def run(self, heartbeat: Heartbeat) -> None:
        """Follow the alias challenger and judge what was offered, until the heartbeat stops.

        Raises:
            BundleError: the challenger does not load any more, after a hang.
        """
        _yield_to_others()
        self.follower.renew()  # an abandoned thread may still be inside the former inspector
        while not heartbeat.stopping:
            heartbeat.beat()
            self.follower.tick(heartbeat)
            with suppress(queue.Empty):
                record, frame = self._frames.get(timeout=BEAT_EVERY_S)
                self._judge(record, frame)

    def with_shadow(self, status: ModelStatus) -> ModelStatus:
        """The status of the model at work, completed with that of its shadow."""
        loaded = self.follower.current
        alarms = [status.alarm, self._alarm]
        if (refused := self.follower.alarm) and not status.alarm:
            alarms.append(f"challenger: {refused}")
        version, shadowed, disagreements = self._counted
        current = "" if loaded is None or loaded.version == status.version else loaded.version
        if version != current:
            shadowed = disagreements = 0
        return replace(
            status,
            alarm="; ".join(filter(None, alarms)),
            shadow=current,
            shadowed=shadowed,
            disagreements=disagreements,
        )

    def _judge(self, record: Record, frame: Frame) -> None:
        loaded = self.follower.current
        if loaded is None or loaded.version == record.model_version:
            return  # it was withdrawn or swapped in while the frame waited
        try:
            decision = loaded.inspector.inspect(frame.decoded()).decision
        except Exception as error:  # any failure of a challenger is a result of the trial
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            self._note(record, loaded, Verdict.NOT_INSPECTED, reason)
            return
        self._note(
            *(record, loaded, decision.verdict, decision.reason),
            *(decision.part_class, decision.defect_score),
        )
        version, shadowed, disagreements = self._counted
        if version != loaded.version:
            shadowed = disagreements = 0
        differs = decision.verdict != record.verdict
        self._counted = loaded.version, shadowed + 1, disagreements + differs
        if differs:
            self._on_disagreement(frame, record)

    def _note(
        self,
        record: Record,
        loaded: LoadedModel,
        verdict: Verdict,
        reason: str,
        part_class: str = "",
        defect_score: float | None = None,
    ) -> None:
        row = (record.id, loaded.version, verdict, reason, part_class, defect_score)
        try:
            with self._ledger.writing() as db:
                db.execute("INSERT OR IGNORE INTO shadows VALUES (?, ?, ?, ?, ?, ?)", row)
            self._alarm = ""
        except LedgerError as error:
            if not self._alarm:
                log.warning("verdicts of %s cannot be recorded: %s", loaded.version, error)
            self._alarm = f"shadow: {error}"


def _yield_to_others() -> None:
    """Lower the priority of the calling thread, and of those that it starts.

    On Linux priorities are per thread. Elsewhere this would slow down the whole station, so it does
    nothing there.
    """
    if os.uname().sysname == "Linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
