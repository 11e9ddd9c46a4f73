"""A station that misses too many parts logs it once, and once when that is over."""

from __future__ import annotations

import pytest

from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.inspection.counters import LATEST, Counters
from pipeline.daemon.inspection.degraded import DegradedWatch
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.testing import FakeClock


def record(verdict: Verdict, reason: str = "") -> Record:
    return Record("id", "west-1", "2026-01-01T06:00:00+00:00", "A-17", verdict, reason)


def test_the_log_names_how_many_parts_were_missed_and_why(caplog: pytest.LogCaptureFixture) -> None:
    counters = Counters()
    watch = DegradedWatch(counters, share=0.05)
    for _ in range(20):
        counters.add(record(Verdict.PASS))
    for reason in ("overload: 16 wait", "overload: 16 wait", "no frame: none came"):
        counters.add(record(Verdict.NOT_INSPECTED, reason))
    for _ in range(3):
        watch.look()
    assert caplog.messages == [
        "degraded: 3 of the last 23 parts were not inspected (limit 5%): overload 2, no frame 1"
    ]
    for _ in range(LATEST):
        counters.add(record(Verdict.PASS))
    watch.look()
    assert caplog.messages[1:] == ["no longer degraded"]


def test_a_share_of_fewer_than_ten_parts_means_nothing() -> None:
    counters = Counters()
    for _ in range(9):
        counters.add(record(Verdict.NOT_INSPECTED, "overload: 16 wait"))
    assert counters.degraded(0.05) == ""
    counters.add(record(Verdict.NOT_INSPECTED, "overload: 16 wait"))
    assert "10 of the last 10" in counters.degraded(0.05)


def test_it_looks_every_second_until_asked_to_stop() -> None:
    clock, looks = FakeClock(), list[float]()
    heartbeat = Heartbeat(clock)

    class Counting(Counters):
        def degraded(self, share: float) -> str:
            looks.append(clock.monotonic_s())
            if len(looks) == 3:
                heartbeat.stop()
            return ""

    DegradedWatch(Counting(), 0.05).run(heartbeat)
    assert looks == [1.0, 2.0, 3.0]
