"""One camera: reads its source, answers its trigger, and opens a record for each part."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from queue import Empty, Full, Queue
from typing import NamedTuple

from pipeline.contracts.records import MissedTrigger
from pipeline.daemon.inspection.recorder import Recorder
from pipeline.daemon.inspection.work_queue import Arrival, TurnedAway, WorkQueue
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import BEAT_EVERY_S, Heartbeat
from pipeline.daemon.settings.line import CameraSettings
from pipeline.daemon.sources import Frame, Source
from pipeline.daemon.triggers import Call, Trigger, TriggerConfig
from pipeline.errors import SourceLost

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 1.0  # between attempts to connect
LEDGER_PAUSE_S = 0.1
AT_ONCE = 10_000  # records of one transaction

log = logging.getLogger(__name__)

OnEvent = Callable[[str, str], None]


class CameraWorker(NamedTuple):
    """A worker that a camera needs: its name, its work, and the callback when it is lost."""

    name: str
    run: Callable[[Heartbeat], None]
    on_lost: Callable[[str], None] | None = None


@dataclass(frozen=True)
class CameraStatus:
    """Status of one camera.

    Attributes:
        name: of the camera.
        connected: do frames arrive, or could they?
        alarm: why not, "" when they do.
        frames: received since the start of the station.
        frame_age_s: seconds since the last one; None before the first.
        reconnects: how often the source was opened again.
        recognised: files left out because they were inspected before, under another name or time.
    """

    name: str
    connected: bool = False
    alarm: str = "not connected yet"
    frames: int = 0
    frame_age_s: float | None = None
    reconnects: int = 0
    recognised: int = 0


class Camera:
    """Reads a source, reconnecting without end, and turns triggers into arrivals.

    Attributes:
        name: of the camera.
        ended: has the source ended for good (a replay's end)?
    """

    def __init__(
        self,
        settings: CameraSettings,
        source: Source,
        trigger: Trigger | None,
        recorder: Recorder,
        work_queue: WorkQueue,
        clock: Clock,
        on_event: OnEvent = lambda kind, detail: None,
    ) -> None:
        self.name = settings.name
        self.source = source
        self.trigger = trigger
        self.ended = False
        self._raw = settings.source.raw
        self._rules: TriggerConfig | None = settings.trigger
        self._recorder = recorder
        self._work_queue = work_queue
        self._clock = clock
        self._on_event = on_event
        self._alarm = "not connected yet"
        self._trigger_alarm = ""  # why no triggers arrive
        self._frames = 0
        self._reconnects = 0
        self._latest: Frame | None = None
        self._came = threading.Condition()
        ahead = 0 if trigger is None else trigger.records_ahead
        self._ahead: Queue[tuple[Arrival, Call]] | None = Queue(ahead) if ahead else None

    @property
    def workers(self) -> tuple[CameraWorker, ...]:
        """The reader of its source and, with a trigger, those who answer its calls."""
        found = [CameraWorker(f"camera {self.name}", self.read, self.lost)]
        if self.trigger is not None:
            found.append(CameraWorker(f"trigger of {self.name}", self.call))
        if self._ahead is not None:
            found.append(CameraWorker(f"frames for the trigger of {self.name}", self.answer))
        return tuple(found)

    @property
    def status(self) -> CameraStatus:
        """The camera at this moment."""
        latest = self._latest
        age_s = None if latest is None else self._clock.monotonic_s() - latest.captured_s
        alarm = "" if self.source.connected else self._alarm
        if self.trigger is not None and not self.trigger.connected:
            alarm = alarm or self._trigger_alarm or "its trigger is not connected"
        return CameraStatus(
            name=self.name,
            connected=not alarm,
            alarm=alarm,
            frames=self._frames,
            frame_age_s=age_s,
            reconnects=self._reconnects,
            recognised=self.source.recognised,
        )

    @property
    def not_listening(self) -> str:
        """Why no trigger can be received now, "" while one can.

        Where the source has no trigger each of its frames is one. A trigger without a frame has its
        record, so a source that is away does not matter where there is a trigger.
        """
        if self.trigger is None:
            return "" if self.source.connected and not self.ended else self._alarm or "it has ended"
        return "" if self.trigger.connected else self._trigger_alarm or "its trigger is away"

    @property
    def loss_unnoticed_s(self) -> float:
        """How long it may go unnoticed that no trigger can be received."""
        return (self.trigger or self.source).loss_unnoticed_s

    @property
    def resumed(self) -> str:
        """What became of triggers that were sent while none could be received, where known."""
        return "" if self.trigger is None else self.trigger.resumed

    def read(self, heartbeat: Heartbeat) -> None:
        """Read frames, reconnecting without end, until asked to stop or the source has ended."""
        pause_s = FIRST_PAUSE_S
        while not heartbeat.stopping:
            frames_before = self._frames
            try:
                for frame in self.source.frames(heartbeat):
                    if heartbeat.stopping:
                        self._forget(frame)
                        return
                    self._take(frame, heartbeat)
                    heartbeat.beat()
            except SourceLost as lost:
                self.lost(str(lost))
            else:
                # An abandoned thread that wakes up does not end its replacement's source.
                self.ended = self.ended or not heartbeat.stopping
                return
            self._reconnects += 1
            pause_s = FIRST_PAUSE_S if self._frames > frames_before else 2 * pause_s
            pause_s = min(pause_s, LONGEST_PAUSE_S)
            heartbeat.wait(pause_s)

    def call(self, heartbeat: Heartbeat) -> None:
        """Record triggers and, unless `answer` does, find their frames, until asked to stop."""
        assert self.trigger is not None, "a camera without a trigger has no calls to answer"
        pause_s = FIRST_PAUSE_S
        while not heartbeat.stopping:
            try:
                for call in self.trigger.calls(heartbeat):
                    pause_s, self._trigger_alarm = FIRST_PAUSE_S, ""
                    if (arrival := self._recorded(call)) is not None:
                        self._pass_on(arrival, call, heartbeat)
                    heartbeat.beat()
            except SourceLost as lost:
                self.trigger.connected = False
                if str(lost) != self._trigger_alarm:
                    self._trigger_alarm = str(lost)
                    log.error("camera %s: no triggers come: %s", self.name, lost)
                    self._on_event("trigger lost", f"{self.name}: {lost}")
            else:
                return
            heartbeat.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def answer(self, heartbeat: Heartbeat) -> None:
        """Find the frames of triggers that `call` has recorded, in order, until asked to stop."""
        assert self._ahead is not None, "nothing is recorded ahead"
        while not heartbeat.stopping:
            heartbeat.beat()
            with suppress(Empty):
                self._answer(*self._ahead.get(timeout=BEAT_EVERY_S), heartbeat)

    def turn_away(self, why: str) -> None:
        """Record the parts that wait in the trigger as NOT_INSPECTED, once `call` has ended."""
        left = iter(() if self.trigger is None else self.trigger.left())
        while some := list(islice(left, AT_ONCE)):
            self._recorder.refuse_all([MissedTrigger(c.at, c.serial, self.name) for c in some], why)
            for call in some:
                call.recorded()

    def lost(self, why: str) -> None:
        """Raise the alarm that no frames arrive."""
        if self._alarm != why or self.source.connected:
            log.error("camera %s: %s", self.name, why)
            self._on_event("camera lost", f"{self.name}: {why}")
        self._alarm, self.source.connected = why, False

    def _take(self, frame: Frame, heartbeat: Heartbeat) -> None:
        first = bool(self._alarm)
        if first:
            self._alarm, self.source.connected = "", True
            log.info("camera %s: frames come", self.name)
        self._frames += 1
        if self._raw is not None and frame.data is not None:
            frame = replace(frame, raw=self._raw)
        with self._came:
            self._latest = frame
            self._came.notify_all()
        if self.trigger is None:
            # A source that can wait does so while the ledger cannot be written: no part is missed.
            while (
                not self.source.live and self._recorder.alarm and not heartbeat.wait(LEDGER_PAUSE_S)
            ):
                pass
            arrival = self._recorder.open(
                *(self.name, frame.captured_at, frame.captured_s, frame.serial),
                frame=frame,
                live=self.source.live,
                answer=frame.answer,
            )
            if arrival is not None:
                self._offer(arrival, heartbeat)
        if first:  # noted last, so that the part does not wait for it
            self._on_event("camera connected", self.name)

    def _recorded(self, call: Call) -> Arrival | None:
        """Open a record for a trigger; None where no frame is to be found for it."""
        arrival = self._recorder.open(
            self.name, call.at, call.at_s, call.serial, answer=call.answer
        )
        call.recorded()
        if arrival is not None and call.refused:
            self._recorder.refuse(arrival, call.refused)
            return None
        return arrival

    def _pass_on(self, arrival: Arrival, call: Call, heartbeat: Heartbeat) -> None:
        if self._ahead is None:
            self._answer(arrival, call, heartbeat)
            return
        while not heartbeat.stopping:
            with suppress(Full):
                self._ahead.put((arrival, call), timeout=BEAT_EVERY_S)
                return
            heartbeat.beat()

    def _answer(self, arrival: Arrival, call: Call, heartbeat: Heartbeat) -> None:
        """Find the frame that belongs to a recorded trigger."""
        frame = self._fresh(call, heartbeat)
        if frame is None:
            self._recorder.refuse(arrival, self._no_frame())
            return
        self._offer(self._recorder.add_frame(arrival, frame), heartbeat)

    def _fresh(self, call: Call, heartbeat: Heartbeat) -> Frame | None:
        """The latest frame if it is fresh enough, waiting up to `wait_ms` for one; else None.

        A frame far too new is rejected as well: a call that was delayed would get the next part's.
        """
        assert self._rules is not None
        oldest_s = call.at_s - self._rules.max_age_ms / 1e3
        until_s = call.at_s + self._rules.wait_ms / 1e3
        youngest_s = until_s + self._rules.max_age_ms / 1e3
        with self._came:
            while self._latest is None or self._latest.captured_s < oldest_s:
                left_s = until_s - self._clock.monotonic_s()
                if left_s <= 0 or heartbeat.stopping:
                    return None
                heartbeat.beat()
                self._came.wait(min(left_s, BEAT_EVERY_S))
            return self._latest if self._latest.captured_s <= youngest_s else None

    def _no_frame(self) -> str:
        assert self._rules is not None
        if self._alarm and not self.source.connected:
            return f"no frame: the camera is away ({self._alarm})"
        return f"no frame: none came within {self._rules.max_age_ms:.0f} ms of the trigger"

    def _offer(self, arrival: Arrival, heartbeat: Heartbeat) -> None:
        # Decoded in this thread, parallel to inference, unless it would be turned away at once.
        if not (arrival.live and self._work_queue.full(arrival.camera)):
            arrival = arrival.decoded()
        turned_away: TurnedAway | None = self._work_queue.offer(arrival, heartbeat)
        if turned_away is not None:
            # Without a heartbeat, so as not to wait for the ledger while frames arrive.
            self._recorder.refuse(turned_away.arrival, turned_away.reason)

    def _forget(self, frame: Frame) -> None:
        """Drop a frame that arrived during shutdown: it is not recorded as a trigger."""
        if frame.answer is not None:
            frame.answer(None)
