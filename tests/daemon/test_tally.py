"""Counts of closed records."""

from __future__ import annotations

from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.tally import EDGES_MS, Tally


def closed(verdict: Verdict, latency_ms: float, reason: str = "") -> Record:
    return Record("0199-a", "west-1", "2026-11-23", "", verdict, reason, latency_ms=latency_ms)


def test_latency_counts_judged_parts_only() -> None:
    tally = Tally()
    for latency_ms in (1.0, 3.0, 100.0):
        tally.add(closed(Verdict.PASS, latency_ms))
    tally.add(closed(Verdict.NOT_INSPECTED, 5000.0, "overload: 4 frames were waiting"))
    assert (tally.latency_ms(0.5), tally.latency_ms(0.99)) == (3.0, 100.0)
    assert tally.histogram.sum_ms == 104.0
    assert sum(tally.histogram.counts) == 3
    assert len(tally.histogram.counts) == len(EDGES_MS) + 1


def test_without_judged_parts_there_is_no_latency() -> None:
    assert Tally().latency_ms(0.5) is None


def test_reasons_are_counted_by_kind() -> None:
    tally = Tally()
    tally.add(closed(Verdict.NOT_INSPECTED, 1.0, "overload: 4 frames were waiting (limit 4)"))
    tally.add(closed(Verdict.NOT_INSPECTED, 1.0, "overload: 9 frames were waiting (limit 9)"))
    assert tally.reasons == {"overload": 2}
