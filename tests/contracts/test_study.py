"""The plan of a study: what it refuses, and the order in which parts are shown."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.contracts.records import Verdict
from pipeline.contracts.study import FindingState, Study, StudyPart


def plan(n: int = 12, **changes: Any) -> Study:
    """A study of parts of which every third is near a limit."""
    parts = tuple(
        StudyPart(
            number=i,
            record=f"record-{i}",
            serial=f"SN-{i}",
            image=f"parts/{i}.png",
            verdict=Verdict.PASS if i % 2 else Verdict.FAIL,
            part_class="good" if i % 2 else "defective",
            defect_score=0.1 if i % 2 else 0.9,
            near=i % 3 == 0,
        )
        for i in range(1, n + 1)
    )
    values: dict[str, Any] = {
        "name": "november",
        "station": "west-1",
        "recipe": "cells",
        "created_at": "2026-11-28T06:00:00+00:00",
        "model_version": "cells/3",
        "pass_below": 0.4,
        "fail_from": 0.6,
        "classes": ("good", "defective"),
        "good": ("good",),
        "seed": 7,
        "appraisers": ("A. Weber", "B. Kaya", "C. Rossi"),
        "trials": 3,
        "asked": n,
        "asked_near": 0.4,
        "parts": parts,
    }
    return Study(**(values | changes))


def test_each_trial_shows_every_part_once_and_none_twice_in_a_row() -> None:
    study = plan(n=3, trials=40)
    order = study.order("A. Weber")
    assert len(order) == study.presentations == 120
    for trial in range(1, 41):
        assert sorted(part for t, part in order if t == trial) == [1, 2, 3]
    shown = [part for _, part in order]
    assert all(a != b for a, b in pairwise(shown))


def test_the_order_comes_from_the_seed_and_differs_between_appraisers_and_trials() -> None:
    study = plan(n=50)
    first, again = study.order("A. Weber"), study.order("A. Weber")
    assert first == again
    assert first != study.order("B. Kaya")
    assert [p for _, p in first[:50]] != [p for _, p in first[50:100]]
    assert first != plan(n=50, seed=8).order("A. Weber")


def test_a_study_that_was_begun_keeps_its_order_with_a_new_version_of_lineside() -> None:
    """Half-finished studies go on by their positions: this order must never change."""
    order = plan(n=6, trials=2).order("A. Weber")
    assert [part for _, part in order] == [1, 2, 4, 3, 5, 6, 1, 4, 3, 5, 2, 6]


def test_one_part_alone_is_shown_again_and_again() -> None:
    assert plan(n=1).order("A. Weber") == [(1, 1), (2, 1), (3, 1)]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"appraisers": ("Anna", "anna")}, "same name"),
        ({"appraisers": ("Station", "Anna")}, "the station itself"),
        ({"parts": tuple(reversed(plan().parts))}, "numbered 1, 2, 3"),
        ({"name": "../elsewhere"}, "name"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        plan(**changes)


def test_parts_near_a_limit_are_counted() -> None:
    assert plan(n=12).near == 4


def test_states_are_ordered_from_the_best_to_the_worst() -> None:
    assert [state.severity for state in FindingState] == [0, 1, 2]
