"""Opening and closing records, whatever the disk does: the station's only way to the ledger."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TypeVar

from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.clock import Clock
from pipeline.daemon.intake import Arrival
from pipeline.daemon.ledger import Ledger, Missed
from pipeline.daemon.pulse import Pulse
from pipeline.daemon.sources import Answer, Frame
from pipeline.daemon.tally import Tally
from pipeline.errors import LedgerError

AGAIN_AFTER_S = 0.5
REMEMBERED = 100_000  # triggers that could not be recorded

T = TypeVar("T")
Told = Callable[[Record, Frame | None], None]

log = logging.getLogger(__name__)


class Books:
    """Opens a record at each trigger and closes it once, by whoever is first.

    When the ledger cannot be written no verdict is given: triggers are remembered, `trouble` says
    why, and as soon as it can be written again they are recorded as NOT_INSPECTED. May be used
    from any thread.

    Attributes:
        trouble: why the ledger cannot be written, "" while it can.
        forgotten: triggers that found no room even in memory.
        tally: counts of what was closed.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        *,
        takt_ms: float | None = None,
        make_room: Callable[[LedgerError], bool] = lambda error: False,
    ) -> None:
        """Take the ledger.

        Args:
            ledger: the station's.
            clock: the time.
            takt_ms: a verdict later than this after its trigger is none.
            make_room: is called when nothing could be written; True where it may be now.
        """
        self.trouble = ""
        self.forgotten = 0
        self.tally = Tally()
        self._ledger = ledger
        self._clock = clock
        self._takt_ms = takt_ms
        self._make_room = make_room
        self._open: dict[str, Arrival] = {}
        self._missed: deque[Missed] = deque()
        self._why_missed = ""
        self._lock = threading.Lock()
        self._told: list[Told] = []
        self._again_s = 0.0  # when to try the ledger again

    @property
    def triggers(self) -> int:
        """How many came since the start."""
        return sum(self.tally.verdicts.values()) + len(self._open) + len(self._missed)

    def tell(self, told: Told) -> None:
        """Have `told` called with each closed record and its frame, in the thread that closed it.

        It must be quick: the next part waits.
        """
        self._told.append(told)

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
        """Record that a trigger came; None where the ledger cannot be written."""
        self._catch_up()
        try:
            identity = self._written(lambda: self._ledger.open_record(at, serial, camera))
        except LedgerError as error:
            self._miss(Missed(at, serial, camera), str(error))
            if answer is not None:
                answer(None)
            return None
        self._well()
        arrival = Arrival(identity, camera, at, at_s, serial, frame, live, answer)
        with self._lock:
            self._open[identity] = arrival
        return arrival

    def seen(self, arrival: Arrival, frame: Frame) -> Arrival:
        """The arrival with the frame that was found for its trigger."""
        arrival = replace(arrival, frame=frame)
        with self._lock:
            if arrival.record in self._open:
                self._open[arrival.record] = arrival
        return arrival

    def close(self, arrival: Arrival, record: Record, pulse: Pulse | None = None) -> Record | None:
        """Commit a verdict and tell everybody; None where the record was closed before.

        While the ledger cannot be written this waits, beating the pulse, and gives up when the
        worker is asked to end: the next start of the station closes the record then.

        Args:
            arrival: whose record it is.
            record: with the verdict; its latency is that of the moment of writing.
            pulse: of the worker that closes.
        """
        with self._lock:
            if self._open.pop(arrival.record, None) is None:
                return None
        while True:
            timely = self._in_time(arrival, record)
            try:
                self._written(lambda r=timely: self._ledger.close_record(r))  # type: ignore[misc]
            except LedgerError as error:
                self._trouble(str(error))
                if pulse is None or pulse.wait(AGAIN_AFTER_S):
                    with self._lock:
                        self._open[arrival.record] = arrival
                    return None
                continue
            self._well()
            self._announce(arrival, timely)
            return timely

    def refuse(self, arrival: Arrival, reason: str, pulse: Pulse | None = None) -> Record | None:
        """Close a record as NOT_INSPECTED; None where it was closed before."""
        return self.close(arrival, self.refusal(arrival, reason), pulse)

    def refusal(self, arrival: Arrival, reason: str) -> Record:
        """The record of a part that was not inspected."""
        return self.record(arrival, Verdict.NOT_INSPECTED, reason)

    def record(self, arrival: Arrival, verdict: Verdict, reason: str) -> Record:
        """A record with a verdict; its latency is filled in when it is closed."""
        frame = arrival.frame
        age_s = None if frame is None else arrival.at_s - frame.captured_s
        return Record(
            id=arrival.record,
            station=self._ledger.station,
            captured_at=arrival.at.isoformat(timespec="microseconds"),
            serial=arrival.serial,
            verdict=verdict,
            reason=reason,
            camera=arrival.camera,
            frame_age_ms=None if age_s is None else round(age_s * 1e3, 3),
        )

    def too_late(self, arrival: Arrival) -> str | None:
        """Why it is too late to inspect an arrival, None while it is not."""
        waited_ms = (self._clock.monotonic_s() - arrival.at_s) * 1e3
        if self._takt_ms is None or waited_ms <= self._takt_ms:
            return None
        return f"takt exceeded: it waited {waited_ms:.0f} ms (takt {self._takt_ms:.0f} ms)"

    def left_open(self) -> list[Arrival]:
        """Arrivals whose records are still open."""
        with self._lock:
            return list(self._open.values())

    def _in_time(self, arrival: Arrival, record: Record) -> Record:
        latency_ms = round((self._clock.monotonic_s() - arrival.at_s) * 1e3, 3)
        record = replace(record, latency_ms=latency_ms)
        late = self._takt_ms is not None and latency_ms > self._takt_ms
        if not late or record.verdict is Verdict.NOT_INSPECTED:
            return record
        reason = (
            f"takt exceeded: {record.verdict} came after {latency_ms:.0f} ms "
            f"(takt {self._takt_ms:.0f} ms)"
        )
        return replace(record, verdict=Verdict.NOT_INSPECTED, reason=reason)

    def _announce(self, arrival: Arrival, record: Record) -> None:
        self.tally.add(record)
        calls = [partial(told, record, arrival.frame) for told in self._told]
        if arrival.answer is not None:
            calls.append(partial(arrival.answer, record))
        for call in calls:
            try:
                call()
            except Exception:  # who listens must not keep the next part from its verdict
                log.exception("somebody could not be told of record %s", record.id)

    def _written(self, write: Callable[[], T]) -> T:
        """Write, and once more if that made room on a full disk."""
        try:
            return write()
        except LedgerError as error:
            if not self._make_room(error):
                raise
            return write()

    def _miss(self, missed: Missed, why: str) -> None:
        self._trouble(why)
        with self._lock:
            self._why_missed = why
            if len(self._missed) < REMEMBERED:
                self._missed.append(missed)
            else:
                self.forgotten += 1

    def recover(self) -> None:
        """See whether the ledger can be written again, even if no trigger comes; call it often."""
        # A verdict that was written has ended the trouble, but not for the triggers before it.
        if not (self.trouble or self._missed) or self._clock.monotonic_s() < self._again_s:
            return
        self._again_s = self._clock.monotonic_s() + AGAIN_AFTER_S
        try:
            self._written(
                lambda: self._ledger.note_event(self._clock.now(), "ledger", "written again")
            )
        except LedgerError as error:
            self._trouble(str(error))
        else:
            self._catch_up()
            self._well()

    def settle(self) -> None:
        """Record what can be recorded yet, when the station ends; say what is lost."""
        self._catch_up()
        if lost := len(self._missed) + self.forgotten:
            log.error("%d triggers are not in the ledger: %s", lost, self._why_missed)

    def _catch_up(self) -> None:
        """Record the triggers that could not be recorded when they came."""
        if not self._missed:
            return
        with self._lock:
            missed = tuple(self._missed)
            self._missed.clear()
        try:
            closed = self._ledger.add_refused(missed, f"ledger: {self._why_missed}")
        except LedgerError as error:
            with self._lock:
                self._missed.extendleft(reversed(missed))
            self._trouble(str(error))
            return
        for record in closed:
            self.tally.add(record)
        log.warning("%d triggers are recorded late, as NOT_INSPECTED", len(closed))

    def _trouble(self, why: str) -> None:
        if not self.trouble:
            log.error("no part can be inspected: %s", why)
        self.trouble = why

    def _well(self) -> None:
        if self.trouble:
            log.warning("the ledger can be written again")
            self.trouble = ""
