"""What limits were chosen on is told as it was, for every method of training."""

from __future__ import annotations

import pytest

from pipeline.evaluation.limits import Basis

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
