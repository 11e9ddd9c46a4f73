"""The last parts, the state and the counts, ready to be shown."""

from __future__ import annotations

import logging
import statistics
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from typing import Any

from pipeline.contracts.records import Record, RecordKind, Verdict
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.sources import Frame
from pipeline.daemon.station import Station
from pipeline.daemon.status import StationStatus
from pipeline.daemon.web.live.totals import Total, Totals, day_start
from pipeline.errors import LedgerError
from pipeline.ledger.queries import latest, verdicts_by_minute

STRIP = 24  # parts on the page, whatever their verdict
DOUBTFUL = 10  # FAIL, REVIEW and NOT_INSPECTED, which no PASS pushes away

log = logging.getLogger(__name__)


class LiveFeed:
    """Takes each closed record; gives what a page shows. Thread-safe.

    Attributes:
        on_part: called after each record, in the thread that inspects; it must be quick.
    """

    def __init__(self, station: Station, shifts: Sequence[str], clock: Clock | None = None) -> None:
        """Take up the last records of the ledger; before the station runs.

        Args:
            station: whose records.
            shifts: when shifts begin, as `06:00`, in local time.
            clock: of the station.
        """
        self.on_part: Callable[[], None] = lambda: None
        self._station = station
        self._clock = clock or Clock()
        self._totals = Totals(shifts)
        self._lock = threading.Lock()
        self._counting = threading.Lock()
        self._counted = False
        self._before = station.ledger.started_after  # the last record that this does not see
        self._strip: deque[Record] = deque(maxlen=STRIP)
        self._doubtful: deque[Record] = deque(maxlen=DOUBTFUL)
        self._new: deque[Record] = deque(maxlen=STRIP)
        self._new_doubtful: deque[Record] = deque(maxlen=DOUBTFUL)
        self._take_up()
        station.recorder.subscribe(self.add)

    def add(self, record: Record, frame: Frame | None) -> None:
        """One more closed record."""
        self._totals.add(record)
        with self._lock:
            self._strip.append(record)
            self._new.append(record)
            if record.verdict is not Verdict.PASS and record.kind is RecordKind.PART:
                self._doubtful.append(record)
                self._new_doubtful.append(record)
        self.on_part()

    def snapshot(self) -> dict[str, Any]:
        """All that a page shows when it is opened; may read from the disk.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        self._count_former()
        status = self._station.status()
        with self._lock:
            parts, doubtful = list(self._strip), list(self._doubtful)
        return {**_state(status), **self._parts(parts, doubtful)}

    def news(self) -> dict[str, Any]:
        """The parts since the last call and the counts now; quick."""
        with self._lock:
            parts, doubtful = list(self._new), list(self._new_doubtful)
            self._new.clear()
            self._new_doubtful.clear()
        return self._parts(parts, doubtful)

    def current_state(self) -> dict[str, Any]:
        """What the station is doing now, the model at work and the counts; reads from the disk."""
        return {**_state(self._station.status()), **self._figures()}

    def _parts(self, parts: Sequence[Record], doubtful: Sequence[Record]) -> dict[str, Any]:
        return {
            "parts": [shown(record) for record in parts],
            "doubtful": [shown(record) for record in doubtful],
            **self._figures(),
        }

    def _figures(self) -> dict[str, Any]:
        now = self._clock.now()
        return {
            "at": now.isoformat(),
            "shift": _counts(self._totals.shift(now)),
            "day": _counts(self._totals.day(now)),
            "takt_s": self._takt_s(),
        }

    def _takt_s(self) -> float | None:
        """Median time between the triggers of the last parts; None before the third."""
        with self._lock:
            times = [datetime.fromisoformat(r.captured_at) for r in self._strip]
        between = [(b - a).total_seconds() for a, b in pairwise(times)]
        return round(statistics.median(between), 3) if len(between) > 1 else None

    def _take_up(self) -> None:
        with suppress(LedgerError), self._station.ledger.reading() as db:
            name = self._station.ledger.station
            self._strip.extend(latest(db, name, STRIP))
            few = (latest(db, name, DOUBTFUL, v) for v in Verdict if v is not Verdict.PASS)
            found = sorted((r for some in few for r in some), key=lambda r: r.captured_at)
            self._doubtful.extend(found)

    def _count_former(self) -> None:
        """Count what the ledger has of today; takes a second where that is a million."""
        with self._counting:
            if self._counted:
                return
            since = day_start(self._clock.now())
            since = min(since, self._totals.shift(self._clock.now()).since)
            with self._station.ledger.reading() as db:
                self._totals.add_counts(verdicts_by_minute(db, since, self._before))
            self._counted = True


def state_of(status: StationStatus) -> str:
    """The state in one word: `inspecting`, `degraded` or `idle`, which inspects nothing."""
    if status.not_ready:
        return "idle"
    return "degraded" if status.degraded else "inspecting"


def shown(record: Record) -> dict[str, Any]:
    """What a page shows of a record."""
    return {
        "id": record.id,
        "at": record.captured_at,
        "serial": record.serial,
        "verdict": str(record.verdict),
        "class": record.part_class,
        "score": record.defect_score,
        "reason": record.reason,
        "camera": record.camera,
        "latency_ms": record.latency_ms,
    }


def _state(status: StationStatus) -> dict[str, Any]:
    model = status.model
    return {
        "state": state_of(status),
        "why": list(status.not_ready or filter(None, (status.degraded,))),
        "model": model.version,
        "signed_by": model.signed_by,
    }


def _counts(total: Total) -> dict[str, Any]:
    return {
        "since": total.since.isoformat(),
        "verdicts": {str(v): n for v, n in total.verdicts.items()},
        "yield": total.yield_share,
    }
