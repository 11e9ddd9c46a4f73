"""One camera at work: its source, its trigger, and the records that they open."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from pipeline.daemon.inspection.recorder import Recorder
from pipeline.daemon.inspection.work_queue import Arrival, TurnedAway, WorkQueue
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import BEAT_EVERY_S, Heartbeat
from pipeline.daemon.settings.line import CameraSettings
from pipeline.daemon.sources import Frame, Source
from pipeline.daemon.triggers import Call, Trigger, TriggerConfig
from pipeline.errors import SourceLost
from pipeline.ledger.ledger import MissedTrigger

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 1.0  # between attempts to connect
LEDGER_PAUSE_S = 0.1
AT_ONCE = 10_000  # records of one transaction

log = logging.getLogger(__name__)

OnEvent = Callable[[str, str], None]


@dataclass(frozen=True)
class CameraStatus:
    """One camera.

    Attributes:
        name: of the camera.
        connected: do frames come, or could they?
        alarm: why not, "" when they do.
        frames: how many came since the start of the station.
        frame_age_s: since the last one; None before the first.
        reconnects: how often the source was opened anew.
    """

    name: str
    connected: bool = False
    alarm: str = "not connected yet"
    frames: int = 0
    frame_age_s: float | None = None
    reconnects: int = 0


class Camera:
    """Reads a source for ever and turns triggers into arrivals.

    Attributes:
        name: of the camera.
        ended: has the source said that there will never be another frame?
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
        self._rules: TriggerConfig | None = settings.trigger
        self._recorder = recorder
        self._work_queue = work_queue
        self._clock = clock
        self._on_event = on_event
        self._alarm = "not connected yet"
        self._deaf = ""  # why no triggers come
        self._frames = 0
        self._reconnects = 0
        self._latest: Frame | None = None
        self._came = threading.Condition()

    @property
    def status(self) -> CameraStatus:
        """What others are told of it."""
        latest = self._latest
        age_s = None if latest is None else self._clock.monotonic_s() - latest.captured_s
        alarm = "" if self.source.connected else self._alarm
        if self.trigger is not None and not self.trigger.connected:
            alarm = alarm or self._deaf or "its trigger is not connected"
        return CameraStatus(
            name=self.name,
            connected=not alarm,
            alarm=alarm,
            frames=self._frames,
            frame_age_s=age_s,
            reconnects=self._reconnects,
        )

    def read(self, heartbeat: Heartbeat) -> None:
        """Read frames, connecting again for ever, until asked to end or the source has ended."""
        pause_s = FIRST_PAUSE_S
        while not heartbeat.stopping:
            seen = self._frames
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
                # One that was left behind and wakes up does not speak for its successor.
                self.ended = self.ended or not heartbeat.stopping
                return
            self._reconnects += 1
            pause_s = FIRST_PAUSE_S if self._frames > seen else min(2 * pause_s, LONGEST_PAUSE_S)
            heartbeat.wait(pause_s)

    def call(self, heartbeat: Heartbeat) -> None:
        """Answer triggers with the latest frame until asked to end."""
        assert self.trigger is not None, "a camera without a trigger has nobody to answer"
        pause_s = FIRST_PAUSE_S
        while not heartbeat.stopping:
            try:
                for call in self.trigger.calls(heartbeat):
                    pause_s, self._deaf = FIRST_PAUSE_S, ""
                    self._answer(call, heartbeat)
                    heartbeat.beat()
            except SourceLost as lost:
                self.trigger.connected = False
                if str(lost) != self._deaf:
                    self._deaf = str(lost)
                    log.error("camera %s: no triggers come: %s", self.name, lost)
                    self._on_event("trigger lost", f"{self.name}: {lost}")
            else:
                return
            heartbeat.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def turn_away(self, why: str) -> None:
        """Record the parts that its trigger still knows of, once nobody asks it any more."""
        left = iter(() if self.trigger is None else self.trigger.left())
        while some := [MissedTrigger(c.at, c.serial, self.name) for c in islice(left, AT_ONCE)]:
            self._recorder.refuse_all(some, why)

    def lost(self, why: str) -> None:
        """Note that no frames come."""
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
        with self._came:
            self._latest = frame
            self._came.notify_all()
        if self.trigger is None:
            # What can wait does, instead of being missed while the ledger cannot be written.
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
        if first:  # noted last: the part does not wait for it
            self._on_event("camera connected", self.name)

    def _answer(self, call: Call, heartbeat: Heartbeat) -> None:
        """Record a trigger, then find the frame that belongs to it."""
        arrival = self._recorder.open(
            self.name, call.at, call.at_s, call.serial, answer=call.answer
        )
        if arrival is None:
            return
        if call.refused:
            self._recorder.refuse(arrival, call.refused)
            return
        frame = self._fresh(call, heartbeat)
        if frame is None:
            self._recorder.refuse(arrival, self._no_frame())
            return
        self._offer(self._recorder.seen(arrival, frame), heartbeat)

    def _fresh(self, call: Call, heartbeat: Heartbeat) -> Frame | None:
        """The latest frame if it is young enough, waiting a little for one; None without.

        Neither may it be much younger: a call that had to wait its turn would get the next part's.
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
        # Decoded here, beside the network, unless it will be turned away at once.
        if not (arrival.live and self._work_queue.full(arrival.camera)):
            arrival = arrival.decoded()
        turned_away: TurnedAway | None = self._work_queue.offer(arrival, heartbeat)
        if turned_away is not None:
            # Without the heartbeat: were the ledger away, frames would go unseen while this waits.
            self._recorder.refuse(turned_away.arrival, turned_away.reason)

    def _forget(self, frame: Frame) -> None:
        """A frame that came when the station was ending is no trigger any more."""
        if frame.answer is not None:
            frame.answer(None)
