"""Frames that wait for inspection, and the policy for frames that come too fast."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime
from time import perf_counter

from pipeline.contracts.records import ChallengePart, RecordKind
from pipeline.daemon.runtime.heartbeat import BEAT_EVERY_S, Heartbeat
from pipeline.daemon.settings.line import Overload
from pipeline.daemon.sources import Answer, Frame
from pipeline.errors import UnreadableImage


@dataclass(frozen=True)
class Arrival:
    """A trigger whose record is open.

    Attributes:
        record: the record's id.
        camera: whose trigger it was.
        at: when the trigger came, in UTC.
        at_s: the same moment on the clock's monotonic scale.
        serial: of the part, "" where it is not known.
        frame: the picture; None before one was found.
        live: from a source that does not wait for the station?
        answer: called with the record once it is closed.
        decode_ms: how long decoding took, in milliseconds.
        presented: what it belongs to in a challenge run; None for a part of the line.
    """

    record: str
    camera: str
    at: datetime
    at_s: float
    serial: str
    frame: Frame | None
    live: bool
    answer: Answer | None = None
    decode_ms: float = 0.0
    presented: ChallengePart | None = None

    @property
    def kind(self) -> RecordKind:
        """Of its record."""
        return RecordKind.PART if self.presented is None else RecordKind.CHALLENGE

    @property
    def size_bytes(self) -> int:
        """Memory that the picture takes."""
        frame = self.frame
        if frame is None:
            return 0
        pixels = 0 if frame.pixels is None else frame.pixels.nbytes
        return pixels + len(frame.data or b"")

    def decoded(self) -> Arrival:
        """The same with the picture decoded, or with the reason why it cannot be."""
        frame = self.frame
        if frame is None or frame.pixels is not None or frame.fault:
            return self
        started_s = perf_counter()
        try:
            frame = replace(frame, pixels=frame.decoded())
        except UnreadableImage as error:
            frame = replace(frame, fault=str(error))
        return replace(self, frame=frame, decode_ms=(perf_counter() - started_s) * 1e3)


@dataclass(frozen=True)
class TurnedAway:
    """An arrival that will not be inspected, and why."""

    arrival: Arrival
    reason: str


class WorkQueue:
    """Arrivals in the order of their triggers. Thread-safe."""

    def __init__(self, overload: Overload) -> None:
        self._overload = overload
        self._waiting: deque[Arrival] = deque()
        self._changed = threading.Condition()
        self._busy = False

    @property
    def waiting(self) -> int:
        """Number of waiting arrivals."""
        return len(self._waiting)

    @property
    def idle(self) -> bool:
        """Is nothing waiting and nothing being inspected?"""
        with self._changed:
            return not self._waiting and not self._busy

    def full(self, camera: str) -> bool:
        """Would the next arrival of a camera be turned away, or turn another away?"""
        with self._changed:
            return self._refusal(camera) is not None

    def offer(self, arrival: Arrival, heartbeat: Heartbeat) -> TurnedAway | None:
        """Append an arrival; returns the one that is turned away for it, if any.

        One that is not live blocks until there is room. When its worker is asked to stop it is
        appended in any case: its record is open, and it is the last of its camera.
        """
        with self._changed:
            while not arrival.live and self._refusal(arrival.camera) is not None:
                if heartbeat.stopping:
                    self._waiting.append(arrival)
                    self._changed.notify_all()
                    return None
                heartbeat.beat()
                self._changed.wait(BEAT_EVERY_S)
            refusal = self._refusal(arrival.camera)
            if self._overload.policy == "latest":
                return self._replace(arrival)
            if refusal is not None:
                return TurnedAway(arrival, refusal)
            self._waiting.append(arrival)
            self._changed.notify_all()
        return None

    def take(self, timeout_s: float) -> Arrival | None:
        """The oldest arrival, None after `timeout_s` without one.

        Call `done` once its record is closed.
        """
        with self._changed:
            if not self._waiting:
                self._changed.wait(timeout_s)
            if not self._waiting:
                return None
            self._busy = True
            self._changed.notify_all()  # sources that can wait have room now
            return self._waiting.popleft()

    def done(self) -> None:
        """The arrival that was taken last is finished."""
        with self._changed:
            self._busy = False
            self._changed.notify_all()

    def clear(self) -> list[Arrival]:
        """Remove and return all waiting arrivals."""
        with self._changed:
            left = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
        return left

    def _refusal(self, camera: str) -> str | None:
        """Why no further arrival of a camera can wait, None while it can."""
        rules, waiting = self._overload, len(self._waiting)
        if rules.policy == "reject":
            taken = self._busy or waiting > 0
            return "overload: another part was being inspected" if taken else None
        if rules.policy == "queue" and waiting >= rules.waiting:
            return f"overload: {waiting} frames were waiting (limit {rules.waiting})"
        megabytes = sum(a.size_bytes for a in self._waiting) / 1e6
        if rules.policy == "queue" and megabytes >= rules.waiting_mb:
            return f"overload: {megabytes:.0f} MB of frames were waiting (limit {rules.waiting_mb})"
        # For sources that can wait, `latest` is a queue of one for each camera.
        if rules.policy == "latest" and any(a.camera == camera for a in self._waiting):
            return "overload: a later frame took its place"
        return None

    def _replace(self, arrival: Arrival) -> TurnedAway | None:
        """Replace the waiting arrival of the same camera."""
        displaced = next((a for a in self._waiting if a.camera == arrival.camera), None)
        if displaced is not None:
            self._waiting.remove(displaced)
        self._waiting.append(arrival)
        self._changed.notify_all()
        if displaced is None:
            return None
        return TurnedAway(displaced, "overload: a later frame took its place")
