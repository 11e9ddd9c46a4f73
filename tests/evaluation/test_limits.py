"""What limits were chosen on is told as it was, for every method of training."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.contracts.bundle import OperatingPoint
from pipeline.evaluation.limits import Basis, Gap, JudgedParts, measure_gap

TUNED = ("epoch", "temperature")


@pytest.mark.parametrize(
    ("basis", "said"),
    [
        (
            Basis(540, 0, 0, (), ()),
            "They were chosen on 540 validation parts. No test part was among them.",
        ),
        (
            Basis(540, 1544, 0, (), ("regularisation", "temperature")),
            "They were chosen on 540 validation parts. With them went 1544 training parts, each "
            "judged by a model that had not seen its group; these had chosen the regularisation "
            "and temperature too. No test part was among them.",
        ),
        (
            Basis(260, 0, 280, TUNED, ()),
            "They were chosen on 260 validation parts that have chosen nothing else; 280 others "
            "had chosen the epoch and temperature. No test part was among them.",
        ),
        (
            Basis(40, 0, 0, ("method", *TUNED), ()),
            "They were chosen on 40 validation parts, which had chosen the method, epoch and "
            "temperature too. No test part was among them.",
        ),
    ],
)
def test_the_parts_that_chose_the_limits_are_reported_with_what_else_they_chose(
    basis: Basis, said: str
) -> None:
    assert basis.sentence == said
    assert basis.written()["said"] == said


def test_parts_that_chose_the_epoch_before_the_limits_are_a_warning() -> None:
    (note,) = Basis(40, 0, 0, TUNED, ()).notes()
    assert "40 validation parts that the limits were chosen on had chosen the epoch" in note
    assert not list(Basis(260, 0, 280, TUNED, ()).notes())
    assert not list(Basis(540, 1544, 0, (), TUNED).notes())


POINT = OperatingPoint(pass_below=0.2, fail_from=0.8)


def judged(ids: str, scores: list[float], bad: str) -> JudgedParts:
    return JudgedParts(np.array(list(ids)), np.array(scores), np.isin(list(ids), list(bad)))


def test_heads_of_folds_are_compared_with_the_final_one_on_the_parts_that_both_judged() -> None:
    final = judged("abcdz", [0.1, 0.9, 0.5, 0.1, 0.1], bad="abz")
    folds = judged("abcdabcdy", [0.9, 0.9, 0.9, 0.1, 0.1, 0.9, 0.5, 0.1, 0.9], bad="ab")
    assert measure_gap(final, folds, POINT) == Gap(final=(0.5, 0.0), folds=(0.25, 0.25))


def test_parts_of_one_kind_compare_nothing() -> None:
    good = judged("ab", [0.1, 0.9], bad="")
    assert measure_gap(good, good, POINT) is None
    assert measure_gap(good, judged("y", [0.1], bad="y"), POINT) is None


def test_more_than_a_point_between_final_head_and_folds_is_a_warning() -> None:
    (note,) = Gap(final=(0.08, 0.02), folds=(0.05, 0.025)).notes()
    assert "on the validation parts the model has 8.0 % escapes" in note
    assert "5.0 %: at the line there may be more escapes than" in note
    assert not list(Gap(final=(0.055, 0.02), folds=(0.05, 0.025)).notes())
