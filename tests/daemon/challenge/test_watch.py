"""Challenge runs of a station, on a clock that is set by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.contracts.challenge import KnownPart
from pipeline.contracts.records import Record, RecordKind, Verdict
from pipeline.daemon.challenge.watch import EVENT, ChallengeWatch
from pipeline.daemon.inspection.recorder import Recorder
from pipeline.daemon.settings.challenge import Challenge, KnownPartSettings
from pipeline.ledger.audit import audit
from pipeline.ledger.challenge.runs import ChallengeRun, begin, open_run, recent
from pipeline.ledger.ledger import Ledger
from pipeline.testing import FakeClock

PARTS = (
    KnownPartSettings(serial="RR-1", verdict="FAIL"),
    KnownPartSettings(serial="G-1", verdict="PASS"),
)


class Bench:
    """A station's recorder and watch; parts are judged as the test wishes."""

    def __init__(self, path: Path, clock: FakeClock, **rules: Any) -> None:
        self.clock, self.model = clock, "cells/3"
        self.rules = Challenge(**{"parts": PARTS, "every_h": 8, "grace_min": 30} | rules)
        self.path = path
        self.open()

    def open(self) -> None:
        self.ledger = Ledger(self.path, "west-1", clock=self.clock)
        self.watch = ChallengeWatch(
            self.rules, ("06:00",), self.ledger, self.clock, lambda: self.model
        )
        self.recorder = Recorder(self.ledger, self.clock)
        self.recorder.presented = self.watch.guard.presented
        self.recorder.counters.withheld = self.watch.guard.withheld
        self.recorder.subscribe(self.watch.closed)

    def restart(self) -> None:
        self.ledger.close()
        self.open()

    def start(self, by: str = "anna") -> None:
        with self.ledger.writing() as db:
            begin(db, self.clock.now(), by, [p.known for p in self.rules.parts], 900)
        self.watch.look()

    def judge(self, serial: str, verdict: Verdict, camera: str = "top") -> Record:
        """One trigger, judged and closed as the worker does it."""
        arrival = self.recorder.open(camera, self.clock.now(), self.clock.monotonic_s(), serial)
        assert arrival is not None
        record = self.recorder.record(arrival, verdict, "as the test wishes")
        record = replace(record, model_version=self.model)
        if arrival.kind is RecordKind.PART:
            record = self.watch.guard.judged(record)
        closed = self.recorder.close(arrival, record)
        assert closed is not None
        self.watch.look()
        return closed

    def passes(self) -> None:
        self.start()
        self.judge("RR-1", Verdict.FAIL)
        self.judge("G-1", Verdict.PASS)

    def last(self) -> ChallengeRun:
        with self.ledger.reading() as db:
            return recent(db, 1)[0]

    def later(self, hours: float) -> None:
        self.clock.advance(hours * 3600)
        self.watch.look()

    def verdict(self) -> Verdict:
        """What a good part of the line gets now."""
        return self.judge("7", Verdict.PASS).verdict


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "ledger.sqlite", FakeClock())
    yield made
    made.ledger.close()


def test_parts_pass_until_the_first_run_is_overdue(bench: Bench) -> None:
    assert bench.verdict() is Verdict.PASS
    bench.later(0.6)
    found = bench.judge("7", Verdict.PASS)
    assert found.verdict is Verdict.REVIEW
    assert found.reason.startswith("challenge run overdue: for 6 min, since none has passed yet")
    assert "lineside challenge LINE.yaml start" in found.reason
    assert "as the test wishes" in found.reason


def test_other_verdicts_stay_while_a_run_is_overdue(bench: Bench) -> None:
    bench.later(1)
    assert bench.judge("7", Verdict.FAIL).reason == "as the test wishes"


def test_a_run_that_passes_lets_parts_pass_again_until_it_is_due(bench: Bench) -> None:
    bench.later(1)
    bench.passes()
    assert (bench.last().passed, bench.last().reason) == (True, "")
    assert bench.verdict() is Verdict.PASS
    bench.later(7.9)
    assert bench.verdict() is Verdict.PASS
    bench.later(0.2)
    assert bench.verdict() is Verdict.REVIEW


def test_an_overdue_station_is_degraded_with_what_to_do(bench: Bench) -> None:
    assert bench.recorder.counters.degraded(0.05) == ""
    bench.later(1)
    assert "or with `lineside challenge" in bench.recorder.counters.degraded(0.05)


def test_known_parts_are_records_of_their_own_and_count_in_no_rate(bench: Bench) -> None:
    bench.passes()
    bench.judge("7", Verdict.PASS)
    counters = bench.recorder.counters
    assert (counters.challenge, sum(counters.verdicts.values())) == (2, 1)
    kinds = [record.kind for record in bench.ledger.records()]
    assert kinds == [RecordKind.CHALLENGE, RecordKind.CHALLENGE, RecordKind.PART]
    found = audit(bench.path, "west-1", None, None)
    assert (found.triggers, found.balances) == (3, True)


def test_a_bad_part_that_passes_fails_the_run_and_stops_pass_at_once(bench: Bench) -> None:
    bench.start()
    assert bench.judge("RR-1", Verdict.PASS).verdict is Verdict.PASS
    bench.judge("G-1", Verdict.PASS)
    assert bench.last().reason == "RR-1 must be FAIL and was PASS"
    found = bench.judge("7", Verdict.PASS)
    assert found.verdict is Verdict.REVIEW
    assert found.reason.startswith("challenge run failed: RR-1 must be FAIL and was PASS; start")


def test_a_failed_run_is_mended_by_one_that_passes(bench: Bench) -> None:
    bench.start()
    bench.judge("RR-1", Verdict.PASS)
    bench.judge("G-1", Verdict.PASS)
    bench.passes()
    assert bench.verdict() is Verdict.PASS


def test_of_a_part_that_is_presented_twice_the_first_verdict_counts(bench: Bench) -> None:
    bench.start()
    bench.judge("RR-1", Verdict.PASS)
    bench.judge("RR-1", Verdict.FAIL)
    bench.judge("G-1", Verdict.PASS)
    assert bench.last().passed is False


def test_a_part_that_was_not_inspected_may_be_presented_again(bench: Bench) -> None:
    bench.start()
    bench.judge("RR-1", Verdict.NOT_INSPECTED)
    bench.judge("RR-1", Verdict.FAIL)
    bench.judge("G-1", Verdict.PASS)
    assert bench.last().passed is True


def test_a_part_that_is_missing_in_the_end_fails_the_run(bench: Bench) -> None:
    bench.start()
    bench.judge("RR-1", Verdict.FAIL)
    bench.later(0.3)
    assert bench.last().reason == "not presented within 15 min: G-1"
    assert bench.verdict() is Verdict.REVIEW


def test_another_serial_is_a_part_of_the_line_while_a_run_is_open(bench: Bench) -> None:
    bench.start()
    assert bench.judge("RR-2", Verdict.FAIL).kind is RecordKind.PART
    with bench.ledger.reading() as db:
        assert open_run(db) is not None


def test_a_known_serial_is_a_part_of_the_line_while_no_run_is_open(bench: Bench) -> None:
    assert bench.judge("RR-1", Verdict.FAIL).kind is RecordKind.PART


def test_without_serials_the_next_triggers_are_the_parts_in_their_order(bench: Bench) -> None:
    bench.start()
    bench.judge("", Verdict.FAIL)
    bench.judge("", Verdict.PASS)
    assert bench.last().passed is True
    assert bench.judge("", Verdict.PASS).kind is RecordKind.PART


def test_without_serials_a_part_that_was_not_inspected_ends_the_run(bench: Bench) -> None:
    bench.start()
    bench.judge("", Verdict.NOT_INSPECTED)
    assert bench.last().reason == "RR-1 was not inspected (as the test wishes)"


def test_an_open_run_goes_on_after_a_restart(bench: Bench) -> None:
    bench.start()
    bench.judge("RR-1", Verdict.FAIL)
    bench.restart()
    bench.judge("G-1", Verdict.PASS)
    assert bench.last().passed is True


def test_a_restart_forgets_neither_a_failed_run_nor_that_one_is_overdue(bench: Bench) -> None:
    bench.later(1)
    bench.restart()
    assert bench.verdict() is Verdict.REVIEW
    bench.start()
    bench.judge("RR-1", Verdict.PASS)
    bench.judge("G-1", Verdict.PASS)
    bench.restart()
    assert bench.judge("7", Verdict.PASS).reason.startswith("challenge run failed")


def test_a_clock_that_is_set_back_gives_no_more_time(bench: Bench) -> None:
    bench.passes()
    bench.clock.set(bench.clock.now() - timedelta(days=3))
    bench.later(8.1)
    assert bench.verdict() is Verdict.REVIEW


def test_another_model_needs_a_run_from_its_first_part_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "ledger.sqlite", FakeClock(), grace_min=0)
    with closing(bench.ledger):
        bench.passes()
        assert bench.verdict() is Verdict.PASS
        bench.model = "cells/4"
        found = bench.judge("7", Verdict.PASS)
        assert found.verdict is Verdict.REVIEW
        assert "another model took over cells/4" in found.reason
        bench.later(0.1)
        assert bench.verdict() is Verdict.REVIEW
        bench.passes()
        assert bench.verdict() is Verdict.PASS


def test_a_model_that_changes_while_a_run_is_open_fails_it(bench: Bench) -> None:
    bench.start()
    bench.judge("RR-1", Verdict.FAIL)
    bench.model = "cells/4"
    bench.judge("G-1", Verdict.PASS)
    assert bench.last().reason == "G-1 was judged by another model, cells/4"


def test_it_warns_before_it_is_due_and_notes_what_happens(bench: Bench) -> None:
    bench.passes()
    bench.later(7.6)
    bench.later(0.5)
    found = audit(bench.path, "west-1", None, None)
    texts = [event.detail for event in found.events if event.kind == EVENT]
    assert any(text.startswith("due within 24 min") for text in texts)
    assert any(text.startswith("no part gets PASS: challenge run overdue") for text in texts)
    assert "1 of anna passed" in texts


def test_known_parts_keep_their_verdict_while_pass_is_withheld(bench: Bench) -> None:
    bench.later(1)
    bench.start()
    assert bench.judge("G-1", Verdict.PASS).verdict is Verdict.PASS


def test_a_part_at_a_camera_that_need_not_see_it_counts_for_nothing(tmp_path: Path) -> None:
    parts = [p.model_copy(update={"camera": "top"}) for p in PARTS]
    bench = Bench(tmp_path / "ledger.sqlite", FakeClock(), parts=parts)
    with closing(bench.ledger):
        bench.start()
        assert bench.judge("RR-1", Verdict.PASS, "side").kind is RecordKind.CHALLENGE
        bench.judge("RR-1", Verdict.FAIL)
        bench.judge("G-1", Verdict.PASS)
        assert bench.last().passed is True
        assert KnownPart("RR-1", Verdict.FAIL, "", "top") in bench.last().parts
