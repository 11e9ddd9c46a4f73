"""Scores and distances of judged parts, beside those that the model saw first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.daemon.inspection.drift import PARTS, Drift, DriftStatus, Level
from pipeline.inference.inspector import Inspection, Inspector
from tests.daemon.conftest import picture


@pytest.fixture
def seen(sealed_bundle: Bundle) -> Inspection:
    return Inspector(sealed_bundle, 1).inspect(picture(200))


def judge(drift: Drift, seen: Inspection, score: float, distance: float | None, n: int = 1) -> None:
    """Have cells/1 judge so many parts alike; its bundle's median distance is 2."""
    for _ in range(n):
        drift.add("cells/1", replace(seen, defect_score=score, novelty=distance), 2.0)


def test_a_few_parts_count_alike(seen: Inspection) -> None:
    drift = Drift()
    judge(drift, seen, 0.1, 2.0)
    judge(drift, seen, 0.4, 5.0)
    state = drift.of("cells/1")
    assert state.parts == 2
    assert state.defect_score.now == pytest.approx(0.25)
    assert state.novelty.now == pytest.approx(1.75)
    assert state.defect_score.first is state.novelty.first is None


def test_the_mean_of_the_first_parts_stays_to_compare_with(seen: Inspection) -> None:
    drift = Drift()
    judge(drift, seen, 0.1, 2.0, n=PARTS // 2)
    judge(drift, seen, 0.3, 4.0, n=PARTS // 2)
    judge(drift, seen, 0.9, 8.0, n=PARTS)
    state = drift.of("cells/1")
    assert state.defect_score.first == pytest.approx(0.2)
    assert state.novelty.first == pytest.approx(1.5)
    # After one time constant 63 % of a change has arrived.
    assert state.defect_score.now == pytest.approx(0.2 + 0.632 * 0.7, abs=0.002)
    assert state.novelty.now == pytest.approx(1.5 + 0.632 * 2.5, abs=0.01)


def test_another_model_starts_again(seen: Inspection) -> None:
    drift = Drift()
    judge(drift, seen, 0.1, 2.0, n=3)
    assert drift.of("cells/2") == DriftStatus()
    drift.add("cells/2", replace(seen, defect_score=0.7), None)
    assert drift.of("cells/2").parts == 1
    assert drift.of("cells/2").defect_score.now == pytest.approx(0.7)
    assert drift.of("cells/1") == DriftStatus()


@pytest.mark.parametrize("median", [None, 0.0])
def test_without_examples_to_compare_with_there_is_no_novelty(
    seen: Inspection, median: float | None
) -> None:
    drift = Drift()
    drift.add("cells/1", replace(seen, novelty=1.0), median)
    assert drift.of("cells/1").novelty == Level()
