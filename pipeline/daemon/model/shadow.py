"""A second model on the same frames, without any say: what it would have done is written down.

It runs behind the first one, in a thread of lower priority, and is left out where it cannot keep
up: a verdict never waits for it.
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

WAITING = 4  # frames; a camera's may have 15 MB each
NICENESS = 10  # beside the inspection's 0: a tenth of the weight where cores are short

log = logging.getLogger(__name__)

# What two models said of the same frames, by the versions of both.
AGREEMENT = """
SELECT records.model_version AS judged_by, shadows.model_version AS shadow, count(*) AS frames,
       count(*) FILTER (WHERE records.verdict != shadows.verdict) AS disagreements
FROM shadows JOIN records ON records.id = shadows.record
WHERE shadows.verdict != 'NOT_INSPECTED'
GROUP BY 1, 2 ORDER BY 1, 2
"""


@dataclass(frozen=True)
class Agreement:
    """How often two versions have judged the same frame, and how often otherwise."""

    judged_by: str
    shadow: str
    frames: int
    disagreements: int


def agreements(db: sqlite3.Connection) -> list[Agreement]:
    """Count a ledger's frames that had a shadow, by the versions of both models."""
    return [Agreement(*row) for row in db.execute(AGREEMENT)]


class Shadow:
    """The challenger, as long as there is one.

    Attributes:
        follower: looks where the alias points.
        left_out: frames that it did not judge because it was behind.
    """

    def __init__(
        self,
        line: Line,
        registry: Registry,
        ledger: Ledger,
        clock: Clock,
        on_disagreement: Callable[[Frame, Record], object] = lambda frame, record: None,
    ) -> None:
        """Take what it needs; nothing is asked or loaded before `run`.

        Args:
            line: the station; its cache gets a folder for challengers.
            registry: where they come from.
            ledger: takes what they say.
            clock: the time.
            on_disagreement: is given each frame that got another verdict from it, and the record,
                to keep it for people; called from the shadow's thread.
        """
        self.left_out = 0
        model = {"alias": CHALLENGER, "require_signoff": False}
        model["cache"] = line.model.cache / CHALLENGER
        theirs = line.model_copy(update={"model": line.model.model_copy(update=model)})
        # One thread: no pool that would spin on a core which the verdict needs.
        self.follower = Follower(theirs, registry, clock, threads=1, lets_go=True)
        self._ledger = ledger
        self._on_disagreement = on_disagreement
        self._frames: queue.Queue[tuple[Record, Frame]] = queue.Queue(WAITING)
        self._counted = ("", 0, 0)  # one value: it is read from other threads
        self._alarm = ""

    @property
    def name(self) -> str:
        """What the worker is called."""
        return "shadow"

    @property
    def idle(self) -> bool:
        """Nothing here is worth waiting for when the station ends."""
        return True

    @property
    def status(self) -> None:
        """What there is to tell is told with the model that it shadows: `with_shadow`."""
        return None

    @property
    def waiting(self) -> int:
        """How many frames it has still to judge."""
        return self._frames.qsize()

    def offer(self, record: Record, frame: Frame) -> None:
        """Let the challenger judge a frame some time after its record was closed; returns at once.

        Args:
            record: as it was closed.
            frame: as the source gave it; where it is a file still, the shadow decodes it.
        """
        loaded = self.follower.current
        if (
            loaded is None
            or record.verdict is Verdict.NOT_INSPECTED
            or record.model_version == loaded.version
        ):
            return
        try:
            self._frames.put_nowait((record, frame))
        except queue.Full:
            self.left_out += 1

    def run(self, heartbeat: Heartbeat) -> None:
        """Follow the alias challenger and judge what was offered, until the heartbeat stops.

        Raises:
            BundleError: after a hang, the challenger does not load any more.
        """
        _yield_to_others()
        self.follower.renew()  # who was replaced may be inside the former inspector
        while not heartbeat.stopping:
            heartbeat.beat()
            self.follower.tick(heartbeat)
            with suppress(queue.Empty):
                record, frame = self._frames.get(timeout=BEAT_EVERY_S)
                self._judge(record, frame)

    def with_shadow(self, state: ModelStatus) -> ModelStatus:
        """The state of the model at work, with what there is to tell of its shadow."""
        loaded = self.follower.current
        alarms = [state.alarm, self._alarm]
        if (refused := self.follower.alarm) and not state.alarm:
            alarms.append(f"challenger: {refused}")
        version, shadowed, disagreements = self._counted
        current = "" if loaded is None or loaded.version == state.version else loaded.version
        if version != current:
            shadowed = disagreements = 0
        return replace(
            state,
            alarm="; ".join(filter(None, alarms)),
            shadow=current,
            shadowed=shadowed,
            disagreements=disagreements,
        )

    def _judge(self, record: Record, frame: Frame) -> None:
        loaded = self.follower.current
        if loaded is None or loaded.version == record.model_version:
            return  # it went, or took over, while the frame waited
        try:
            said = loaded.inspector.inspect(frame.decoded()).decision
        except Exception as error:  # a challenger on trial: whatever it is, it is what is learned
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            self._note(record, loaded, Verdict.NOT_INSPECTED, reason)
            return
        self._note(record, loaded, said.verdict, said.reason, said.part_class, said.defect_score)
        version, shadowed, disagreements = self._counted
        if version != loaded.version:
            shadowed = disagreements = 0
        differs = said.verdict != record.verdict
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
                log.warning("what %s said cannot be written: %s", loaded.version, error)
            self._alarm = f"shadow: {error}"


def _yield_to_others() -> None:
    """Lower the priority of the thread that calls, and of those that it begins.

    Linux counts threads as processes here. Elsewhere the whole station would step back, so nothing
    is done there.
    """
    if os.uname().sysname == "Linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
