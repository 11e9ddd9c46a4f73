"""The worker behind the charts: counts, samples, and one event for each new signal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.contracts.records import Verdict
from pipeline.daemon.inspection.drift import Drift
from pipeline.daemon.quality.watch import KIND, QualityWatch
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.errors import LedgerError
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.quality.baselines import add_baseline
from pipeline.ledger.quality.counts import progress, read_drift
from pipeline.ledger.quality.events import DeliveredEvent, latest_events
from pipeline.testing import FakeClock
from tests.daemon.quality.test_chart import AT, HOUR, fill
from tests.ledger.quality.conftest import Judge, judge
from tests.ledger.quality.test_baselines import FIRST

__all__ = ["judge"]

SET_AT = AT + 10 * HOUR
LIMITS = replace(FIRST, set_at=SET_AT.isoformat())
# Ten hours before the limits were set, the last of them bad, and then fifteen quiet ones.
BEFORE = [2, 1, 3, 2, 4, 1, 2, 3, 1, 15]
AFTER = [3, 1, 0, 2, 3, 3, 1, 2, 1, 5, 1, 3, 2, 2, 1]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(AT + 25.5 * HOUR)


@pytest.fixture
def ledger(tmp_path: Path, clock: FakeClock) -> Iterator[Ledger]:
    with closing(Ledger(tmp_path / "ledger.sqlite", "west-1", clock=clock)) as opened:
        yield opened


@pytest.fixture
def drift() -> Drift:
    return Drift()


@pytest.fixture
def watch(ledger: Ledger, clock: FakeClock, drift: Drift) -> QualityWatch:
    return QualityWatch(ledger, clock, lambda: ("cells/3", drift))


def events(ledger: Ledger) -> list[DeliveredEvent]:
    with ledger.reading() as db:
        return latest_events(db, KIND, 100)


def test_a_point_beyond_the_limits_is_an_event_once(
    ledger: Ledger, clock: FakeClock, watch: QualityWatch, caplog: pytest.LogCaptureFixture
) -> None:
    add_baseline(ledger, LIMITS)
    fill(ledger, [*BEFORE, *AFTER[:14], 12])
    with caplog.at_level(logging.WARNING):
        watch.look()
        watch.look()
    found = [event for event in events(ledger) if event.data["test"] == 1]
    assert len(found) == 1
    data: dict[str, Any] = found[0].data
    assert (data["side"], data["parts"], data["fails"]) == ("high", 100, 12)
    assert (data["since"], data["baseline"]) == ((AT + 24 * HOUR).isoformat(), 1)
    assert "12.00% of 100 parts failed" in found[0].detail
    assert sum("test 1: a point beyond the limits" in line for line in caplog.messages) == 1


def test_another_start_of_the_station_notes_no_signal_again(
    ledger: Ledger, clock: FakeClock, drift: Drift
) -> None:
    add_baseline(ledger, LIMITS)
    fill(ledger, [*BEFORE, *AFTER[:14], 12])
    for _ in range(2):
        QualityWatch(ledger, clock, lambda: ("cells/3", drift)).look()
    assert len([event for event in events(ledger) if event.data["test"] == 1]) == 1


def test_what_was_before_the_limits_were_set_is_not_an_event(
    ledger: Ledger, watch: QualityWatch
) -> None:
    add_baseline(ledger, LIMITS)
    fill(ledger, [*BEFORE, *AFTER])
    watch.look()
    assert [event.data["test"] for event in events(ledger)] == []


def test_nothing_is_an_event_without_limits_that_a_person_has_set(
    ledger: Ledger, watch: QualityWatch
) -> None:
    fill(ledger, [*BEFORE, *AFTER, 90])
    watch.look()
    assert events(ledger) == []


def test_limits_that_were_set_again_replace_the_former_ones(
    ledger: Ledger, watch: QualityWatch
) -> None:
    add_baseline(ledger, LIMITS)
    add_baseline(ledger, replace(LIMITS, centre=0.12))
    fill(ledger, [*BEFORE, *AFTER[:14], 12])
    watch.look()
    assert [event for event in events(ledger) if event.data["baseline"] == 1] == []


def test_the_worker_counts_what_is_closed(
    ledger: Ledger, judge: Judge, watch: QualityWatch, clock: FakeClock
) -> None:
    judge(n=3)
    judge(Verdict.FAIL)
    watch.step(Heartbeat(clock))
    with ledger.reading() as db:
        assert progress(db).last == 4


def test_drift_is_sampled_once_a_part_was_judged(
    ledger: Ledger, watch: QualityWatch, drift: Drift, clock: FakeClock
) -> None:
    watch.sample()
    result: Any = SimpleNamespace(defect_score=0.3, novelty=2.0)
    drift.add("cells/3", result, 1.0)
    watch.sample()
    with ledger.reading() as db:
        (sample,) = read_drift(db, AT, AT + timedelta(days=2))
    assert (sample.parts, sample.score, sample.novelty) == (1, 0.3, 2.0)
    assert sample.period == AT + 25.5 * HOUR


def test_a_ledger_that_fails_is_logged_once_and_counting_goes_on_later(
    watch: QualityWatch,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_: object) -> None:
        raise LedgerError("disk full")

    with monkeypatch.context() as broken:
        broken.setattr("pipeline.daemon.quality.watch.count_next", fail)
        for _ in range(3):
            watch.step(Heartbeat(clock))
    watch.step(Heartbeat(clock))
    assert [line for line in caplog.messages if "quality" in line] == [
        "quality: records are not counted: disk full",
        "quality: records are counted again",
    ]


def test_the_worker_ends_when_it_is_asked_to(watch: QualityWatch, clock: FakeClock) -> None:
    heartbeat = Heartbeat(clock)
    heartbeat.stop()
    watch.run(heartbeat)
    assert watch.idle
