"""Counts of closed records."""

from __future__ import annotations

from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.inspection.counters import EDGES_MS, Counters


def closed(verdict: Verdict, latency_ms: float, reason: str = "") -> Record:
    return Record("0199-a", "west-1", "2026-11-23", "", verdict, reason, latency_ms=latency_ms)


def test_latency_counts_judged_parts_only() -> None:
    counters = Counters()
    for latency_ms in (1.0, 3.0, 100.0):
        counters.add(closed(Verdict.PASS, latency_ms))
    counters.add(closed(Verdict.NOT_INSPECTED, 5000.0, "overload: 4 frames were waiting"))
    assert (counters.latency_ms(0.5), counters.latency_ms(0.99)) == (3.0, 100.0)
    assert counters.histogram.sum_ms == 104.0
    assert sum(counters.histogram.counts) == 3
    assert len(counters.histogram.counts) == len(EDGES_MS) + 1


def test_without_judged_parts_there_is_no_latency() -> None:
    assert Counters().latency_ms(0.5) is None


def test_reasons_are_counted_by_kind() -> None:
    counters = Counters()
    counters.add(closed(Verdict.NOT_INSPECTED, 1.0, "overload: 4 frames were waiting (limit 4)"))
    counters.add(closed(Verdict.NOT_INSPECTED, 1.0, "overload: 9 frames were waiting (limit 9)"))
    assert counters.reasons == {"overload": 2}
