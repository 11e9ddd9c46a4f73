"""Opens and closes records, and buffers triggers while the ledger cannot be written."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TypeVar

from pipeline.contracts.records import ChallengePart, MissedTrigger, Record, Verdict
from pipeline.daemon.inspection.counters import Counters
from pipeline.daemon.inspection.work_queue import Arrival
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sources import Answer, Frame
from pipeline.errors import LedgerError
from pipeline.ledger.ledger import Ledger, NotOpen

RETRY_AFTER_S = 0.5
REMEMBERED = 100_000  # triggers buffered while the ledger cannot be written

T = TypeVar("T")
OnClosed = Callable[[Record, Frame | None], None]

log = logging.getLogger(__name__)


class Recorder:
    """Opens a record at each trigger and closes it once; the first of several closers wins.

    While the ledger cannot be written no verdict is given: triggers are buffered, `alarm` gives the
    reason, and once it can be written again they are recorded as NOT_INSPECTED. Writing is retried
    every half second and not at each trigger: each attempt on a ledger that another program has
    locked blocks, and cameras have frames to read. Thread-safe.

    Attributes:
        alarm: why the ledger cannot be written, "" while it can.
        triggers: received since the start, without the forgotten ones.
        forgotten: triggers that did not fit into the buffer either.
        counters: counts of closed records.
        presented: what a trigger of a camera and a serial belongs to in an open challenge run.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        *,
        takt_ms: float | None = None,
        make_room: Callable[[LedgerError], bool] = lambda error: False,
    ) -> None:
        """Start with nothing open.

        Args:
            ledger: of the station.
            clock: of the station.
            takt_ms: a verdict later than this after its trigger becomes NOT_INSPECTED.
            make_room: called when a write failed; True where another attempt may succeed.
        """
        self.alarm = ""
        self.triggers = 0
        self.forgotten = 0
        self.counters = Counters()
        self.presented: Callable[[str, str], ChallengePart | None] = lambda camera, serial: None
        self._ledger = ledger
        self._clock = clock
        self._takt_ms = takt_ms
        self._make_room = make_room
        self._open: dict[str, Arrival] = {}
        self._missed: deque[MissedTrigger] = deque()
        self._missed_why = ""
        self._owed: deque[tuple[Arrival, Record]] = deque()  # verdict given, not written yet
        self._lock = threading.Lock()
        self._subscribers: list[OnClosed] = []
        self._uncounted = 0  # of the forgotten: those that the ledger does not count yet
        self._retry_s = 0.0  # when to try the ledger again

    def subscribe(self, callback: OnClosed) -> None:
        """Call `callback` with each closed record and its frame, in the thread that closed it.

        It must be quick: the next part waits.
        """
        self._subscribers.append(callback)

    def open(
        self,
        camera: str,
        at: datetime,
        at_s: float,
        serial: str,
        *,
        frame: Frame | None = None,
        live: bool = True,
        answer: Answer | None = None,
    ) -> Arrival | None:
        """Open a record for a trigger; None where the ledger cannot be written."""
        known = self.presented(camera, serial)
        missed = MissedTrigger(at, serial, camera, known)
        if self.alarm and self._clock.monotonic_s() < self._retry_s:
            self._miss(missed, self.alarm, answer)
            return None
        self._catch_up()
        try:
            identity = self._written(lambda: self._ledger.open_record(at, serial, camera, known))
        except LedgerError as error:
            self._raise_alarm(str(error))
            self._miss(missed, str(error), answer)
            return None
        self._clear_alarm()
        arrival = Arrival(identity, camera, at, at_s, serial, frame, live, answer, presented=known)
        with self._lock:
            self.triggers += 1
            self._open[identity] = arrival
        return arrival

    def add_frame(self, arrival: Arrival, frame: Frame) -> Arrival:
        """The arrival with the frame that was found for its trigger."""
        arrival = replace(arrival, frame=frame)
        with self._lock:
            if arrival.record in self._open:
                self._open[arrival.record] = arrival
        return arrival

    def close(
        self, arrival: Arrival, record: Record, heartbeat: Heartbeat | None = None
    ) -> Record | None:
        """Commit a verdict, then notify; None where the record was closed before, or is gone.

        While the ledger cannot be written this waits, beating, until the worker is asked to stop.
        Then, or without a heartbeat, `recover` closes the record later.

        Args:
            arrival: whose record it is.
            record: with the verdict; its latency is taken when it is written.
            heartbeat: of the worker that closes.
        """
        with self._lock:
            if self._open.pop(arrival.record, None) is None:
                return None
        while True:
            timely, started_s = self._in_time(arrival, record), self._clock.monotonic_s()
            try:
                self._written(lambda r=timely: self._ledger.close_record(r))  # type: ignore[misc]
            except NotOpen as error:
                log.error("%s; its verdict %s is given up", error, timely.verdict)
                if arrival.answer is not None:
                    arrival.answer(None)
                return None
            except LedgerError as error:
                self._raise_alarm(str(error))
                if heartbeat is None or heartbeat.wait(RETRY_AFTER_S):
                    # Without the frame: there may be many of these.
                    arrival = replace(arrival, frame=None)
                    with self._lock:
                        self._open[arrival.record] = arrival
                        self._owed.append((arrival, record))
                    return None
                continue
            self._clear_alarm()
            self.counters.add_written((self._clock.monotonic_s() - started_s) * 1e3)
            self._notify(arrival, timely)
            return timely

    def refuse(
        self, arrival: Arrival, reason: str, heartbeat: Heartbeat | None = None
    ) -> Record | None:
        """Close a record as NOT_INSPECTED; None where it was closed before."""
        return self.close(arrival, self.refusal(arrival, reason), heartbeat)

    def refuse_all(self, triggers: Sequence[MissedTrigger], reason: str) -> None:
        """Record triggers that have no open record as NOT_INSPECTED, in one transaction."""
        try:
            closed = self._written(lambda: self._ledger.add_refused(triggers, reason))
        except LedgerError as error:
            self._raise_alarm(str(error))
            for trigger in triggers:
                self._miss(trigger, str(error), None)
            return
        with self._lock:
            self.triggers += len(closed)
        for record in closed:
            self.counters.add(record)

    def refusal(self, arrival: Arrival, reason: str) -> Record:
        """The record of a part that was not inspected."""
        return self.record(arrival, Verdict.NOT_INSPECTED, reason)

    def record(self, arrival: Arrival, verdict: Verdict, reason: str) -> Record:
        """A record with a verdict; its latency is filled in when it is closed."""
        age_s = None if arrival.frame is None else arrival.at_s - arrival.frame.captured_s
        return Record(
            id=arrival.record,
            station=self._ledger.station,
            captured_at=arrival.at.isoformat(timespec="microseconds"),
            serial=arrival.serial,
            verdict=verdict,
            reason=reason,
            camera=arrival.camera,
            frame_age_ms=None if age_s is None else round(age_s * 1e3, 3),
            kind=arrival.kind,
        )

    def waited_ms(self, arrival: Arrival) -> float:
        """Milliseconds since the trigger."""
        return (self._clock.monotonic_s() - arrival.at_s) * 1e3

    def too_late(self, arrival: Arrival) -> str | None:
        """Why it is too late to inspect an arrival, None while it is not."""
        waited_ms = self.waited_ms(arrival)
        if self._takt_ms is None or waited_ms <= self._takt_ms:
            return None
        return f"takt exceeded: it waited {waited_ms:.0f} ms (takt {self._takt_ms:.0f} ms)"

    def left_open(self) -> list[Arrival]:
        """Arrivals whose records are still open."""
        with self._lock:
            return list(self._open.values())

    def _in_time(self, arrival: Arrival, record: Record) -> Record:
        latency_ms = round(self.waited_ms(arrival), 3)
        record = replace(record, latency_ms=latency_ms)
        late = self._takt_ms is not None and latency_ms > self._takt_ms
        if not late or record.verdict is Verdict.NOT_INSPECTED:
            return record
        reason = (
            f"takt exceeded: {record.verdict} came after {latency_ms:.0f} ms "
            f"(takt {self._takt_ms:.0f} ms)"
        )
        return replace(record, verdict=Verdict.NOT_INSPECTED, reason=reason)

    def _notify(self, arrival: Arrival, record: Record) -> None:
        self.counters.add(record)
        calls = [partial(callback, record, arrival.frame) for callback in self._subscribers]
        if arrival.answer is not None:
            calls.append(partial(arrival.answer, record))
        for call in calls:
            try:
                call()
            except Exception:  # a subscriber must not keep the next part from its verdict
                log.exception("record callback failed", extra={"record": record.id})

    def _written(self, write: Callable[[], T]) -> T:
        """Write, and retry once if room was made on a full disk."""
        try:
            return write()
        except LedgerError as error:
            if not self._make_room(error):
                raise
            return write()

    def _miss(self, missed: MissedTrigger, why: str, answer: Answer | None) -> None:
        with self._lock:
            if len(self._missed) < REMEMBERED:
                self.triggers += 1
                self._missed.append(missed)
            else:
                self.forgotten += 1
                self._uncounted += 1
            self._missed_why = why
        if answer is not None:
            answer(None)

    def recover(self, *, at_once: bool = False) -> None:
        """Write what could not be written before, if that is possible now; call it often.

        Args:
            at_once: do not wait for the next retry to be due.
        """
        if not (self.alarm or self._missed or self._uncounted or self._owed):
            return
        if self._clock.monotonic_s() < self._retry_s and not at_once:
            return
        self._retry_s = self._clock.monotonic_s() + RETRY_AFTER_S
        if self.alarm:
            try:
                self._written(
                    lambda: self._ledger.note_event(self._clock.now(), "ledger", "written again")
                )
            except LedgerError as error:
                self._raise_alarm(str(error))
                return
            self._clear_alarm()
        self._catch_up()
        while self._owed and not self.alarm:
            self.close(*self._owed.popleft())

    @property
    def lost(self) -> int:
        """Triggers that the ledger does not contain."""
        return len(self._missed) + self._uncounted

    def settle(self) -> None:
        """Write what can still be written at shutdown, and log how many triggers are lost."""
        self.recover(at_once=True)
        if lost := self.lost:
            log.error("%d triggers are not in the ledger: %s", lost, self._missed_why)

    def _catch_up(self) -> None:
        """Record the buffered triggers."""
        if self._missed and not self._record_missed():
            return
        if self._uncounted:
            self._count_forgotten()

    def _count_forgotten(self) -> None:
        """Add the forgotten triggers to the ledger's account."""
        with self._lock:
            n, self._uncounted = self._uncounted, 0
            why = self._missed_why
        if n == 0:  # another thread was faster
            return
        try:
            self._ledger.add_forgotten(self._clock.now(), n, f"{n}: {why}")
        except LedgerError as error:
            with self._lock:
                self._uncounted += n
            return self._raise_alarm(str(error))
        log.error("%d triggers have no record, and the account shows it: %s", n, why)

    def _record_missed(self) -> bool:
        with self._lock:
            missed = tuple(self._missed)
            self._missed.clear()
            why = self._missed_why
        try:
            closed = self._ledger.add_refused(missed, f"ledger: {why}")
        except LedgerError as error:
            with self._lock:
                self._missed.extendleft(reversed(missed))
            self._raise_alarm(str(error))
            return False
        for record in closed:
            self.counters.add(record)
        log.warning("%d triggers are recorded late, as NOT_INSPECTED", len(closed))
        return True

    def _raise_alarm(self, why: str) -> None:
        if not self.alarm:
            log.error("no part can be inspected: %s", why)
        self.alarm = why
        self._retry_s = self._clock.monotonic_s() + RETRY_AFTER_S

    def _clear_alarm(self) -> None:
        if self.alarm:
            log.warning("the ledger can be written again")
            self.alarm = ""
