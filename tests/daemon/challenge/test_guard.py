"""What the guard answers for each part, before the watch has looked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.challenge.due import Deadline
from pipeline.daemon.challenge.guard import ChallengeGuard
from pipeline.ledger.ledger import Ledger
from pipeline.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def guard(tmp_path: Path, clock: FakeClock) -> Iterator[ChallengeGuard]:
    with closing(Ledger(tmp_path / "ledger.sqlite", "west-1", clock=clock)) as ledger:
        yield ChallengeGuard(ledger.elapsed)


def passed(version: str = "cells/3") -> Record:
    at = "2026-11-28T06:00:00+00:00"
    return Record("1", "west-1", at, "7", Verdict.PASS, "good", model_version=version)


def test_pass_is_withheld_from_the_very_moment_of_the_deadline(
    guard: ChallengeGuard, clock: FakeClock
) -> None:
    guard.update(None, [], "", Deadline(60, "the shift of 06:00 has begun"), None, None)
    clock.advance(59)
    assert guard.judged(passed()).verdict is Verdict.PASS
    clock.advance(1)
    assert guard.judged(passed()).verdict is Verdict.REVIEW


def test_another_model_is_noticed_by_its_first_part_and_once(guard: ChallengeGuard) -> None:
    guard.update(None, [], "", None, "cells/3", 0.0)
    for version in ("cells/3", "cells/4", "cells/4"):
        guard.judged(passed(version))
    assert [version for version, _ in guard.versions] == ["cells/4"]
    assert guard.wake.is_set()


def test_no_trigger_is_of_a_run_where_none_is_open(guard: ChallengeGuard) -> None:
    assert guard.presented("top", "RR-1") is None
