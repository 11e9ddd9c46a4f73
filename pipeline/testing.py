"""Fakes for the tests of a plugin: a clock that is set by hand, a source and a sink.

Nothing in `pipeline` imports this module. A source, trigger or sink is given its clock when it is
opened, so its tests need neither a sleep nor a camera:

    from pipeline.daemon.runtime.heartbeat import Heartbeat
    from pipeline.testing import FakeClock, FakeSource

    def test_frames_are_10_ms_apart() -> None:
        clock = FakeClock()
        first, second = FakeSource([picture, picture], clock).frames(Heartbeat(clock))
        assert second.captured_s - first.captured_s == pytest.approx(0.01)

`FakeClock` stands in for `Clock` in `Config.open(clock)`; `FakeSource` feeds a station that tests
your trigger or sink; `FakeSink` collects the records of a station that tests your source.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.contracts.records import Record
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sinks import Sink
from pipeline.daemon.sources import Frame, Source
from pipeline.imaging import Pixels

__all__ = ["FakeClock", "FakeSink", "FakeSource"]


class FakeClock(Clock):
    """Stands still; only waiting and `advance` move it, and both return at once."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._monotonic_s = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def boot_id(self) -> str:
        return "a boot"

    def boot_s(self) -> float:
        return self._monotonic_s

    def wait(self, stop: threading.Event, seconds: float) -> None:
        self.advance(seconds)

    def set(self, now: datetime) -> None:
        """Set the time of day, as a person or a time server does."""
        self._now = now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += timedelta(seconds=seconds)
        self._monotonic_s += seconds


class FakeSource(Source):
    """Yields the given pictures 10 ms apart; an exception among them becomes a frame's fault."""

    live = False

    def __init__(self, pictures: Sequence[Pixels | Exception], clock: Clock) -> None:
        self._pictures = pictures
        self._clock = clock

    def frames(self, heartbeat: Heartbeat) -> Iterator[Frame]:
        for i, picture in enumerate(self._pictures):
            if heartbeat.wait(0.01):
                return
            at, captured_s = self._clock.now(), self._clock.monotonic_s()
            if isinstance(picture, Exception):
                yield Frame(at, captured_s, f"part-{i}", None, str(picture))
            else:
                yield Frame(at, captured_s, f"part-{i}", picture)


class FakeSink(Sink):
    """Collects what is delivered.

    Attributes:
        records: delivered, in order.
        states: announced, in order.
        events: of the station, in order.
        failure: raised instead of taking records and events, while it is set.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.states: list[Mapping[str, Any]] = []
        self.events: list[Mapping[str, Any]] = []
        self.failure: Exception | None = None

    def deliver(self, records: Sequence[Record]) -> None:
        if self.failure is not None:
            raise self.failure
        self.records += records

    def announce(self, state: Mapping[str, Any]) -> None:
        self.states.append(state)

    def notify(self, event: Mapping[str, Any]) -> None:
        if self.failure is not None:
            raise self.failure
        self.events.append(event)
