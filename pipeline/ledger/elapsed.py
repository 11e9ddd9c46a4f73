"""Seconds that have passed for a ledger, on a scale that nobody can set.

The time of day jumps when somebody sets the clock, as when a machine without a battery boots in
1970 and asks a time server later. So ages are taken on another scale: within one boot of the
machine its clock since that boot, which counts on while no station runs; from one boot to the next
the scale goes on where it was last seen. Time in which the machine was off is not counted.
"""

from __future__ import annotations

import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipeline.ledger.queries import stamp

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
FORMAT = "%Y-%m-%dT%H:%M:%S"
STEP_S = 2.0  # a clock that runs fast or slow is corrected by less


class BootClock:
    """The machine's time since it was switched on, which also runs while it sleeps."""

    def boot_id(self) -> str:
        """Identifies the boot."""
        return BOOT_ID.read_text("ascii").strip()

    def boot_s(self) -> float:
        """Seconds since the boot."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)


class Elapsed:
    """The scale of one ledger, from the moment that a station has opened it."""

    def __init__(self, db: sqlite3.Connection, clock: BootClock) -> None:
        """Go on with the scale.

        Args:
            db: of the ledger, in a transaction that may write.
            clock: of this machine.

        Raises:
            sqlite3.Error: the ledger cannot be written.
        """
        self._clock, self._boot = clock, clock.boot_id()
        rows = {row["boot"]: row for row in db.execute("SELECT * FROM elapsed")}
        self._known = rows.get(self._boot)
        self._last = max(rows.values(), key=lambda row: row["seen_s"], default=None)
        if self._known is not None:
            self._base_s = float(self._known["base_s"])
        else:
            self._base_s = 0.0 if self._last is None else float(self._last["seen_s"])
        db.execute("UPDATE outbox SET queued_s = ? WHERE queued_s IS NULL", (self.now_s(),))

    def now_s(self) -> float:
        """This moment on the scale, in seconds."""
        return self._base_s + self._clock.boot_s()

    def note(self, db: sqlite3.Connection, at: datetime) -> None:
        """Write down this moment, and what the time of day is."""
        db.execute(
            "INSERT INTO elapsed (boot, base_s, seen_s, seen_at) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (boot) DO UPDATE SET seen_s = excluded.seen_s, seen_at = excluded.seen_at",
            (self._boot, self._base_s, self.now_s(), stamp(at)),
        )

    def step_while_away(self, at: datetime) -> str:
        """How the clock was set since the station ended, in words; "" where it was not.

        Args:
            at: the time of day now.
        """
        if self._last is None:
            return ""
        last_at = _time_of(self._last)
        if self._known is not None:
            seen_at = _time_of(self._known)
            expected = seen_at + timedelta(seconds=self.now_s() - self._known["seen_s"])
            return step(expected, at)
        return step(last_at, at) if at < last_at else ""


def _time_of(row: sqlite3.Row) -> datetime:
    return datetime.fromisoformat(row["seen_at"]).replace(tzinfo=UTC)


def step(expected: datetime, found: datetime) -> str:
    """How the clock was set, in words; "" where it shows about the expected time of day.

    Args:
        expected: time of day, in UTC.
        found: time of day, in UTC.
    """
    by_s = (found - expected).total_seconds()
    if abs(by_s) < STEP_S:
        return ""
    direction = "forward" if by_s > 0 else "back"
    by = timedelta(seconds=round(abs(by_s)))
    return f"set {direction} by {by}, from {expected:{FORMAT}} to {found:{FORMAT}} UTC"
