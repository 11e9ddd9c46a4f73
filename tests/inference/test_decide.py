"""From probabilities to a verdict."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contracts.bundle import OperatingPoint
from pipeline.contracts.records import Verdict
from pipeline.contracts.taxonomy import Disposition, PartClass, Taxonomy
from pipeline.inference.decide import decide, defect_scores, worst
from pipeline.inference.predictor import softmax

POINT = OperatingPoint(pass_below=0.25, fail_from=0.75)
PARTS = Taxonomy(
    classes=(
        PartClass(name="good", disposition=Disposition.PASS),
        PartClass(name="fine", disposition=Disposition.PASS),
        PartClass(name="scratch", disposition=Disposition.REWORK),
        PartClass(name="crack", disposition=Disposition.SCRAP),
        PartClass(name="odd", disposition=Disposition.REVIEW),
    )
)
ONLY_BAD = Taxonomy(
    classes=(
        PartClass(name="scratch", disposition=Disposition.REWORK),
        PartClass(name="crack", disposition=Disposition.SCRAP),
    )
)
PROBABILITIES = st.lists(st.floats(-50, 50, width=32), min_size=5, max_size=5).map(
    lambda logits: softmax(np.array([logits], np.float32))[0]
)


def row(*values: float) -> npt.NDArray[np.float32]:
    return np.array(values, np.float32)


def test_the_defect_score_is_the_sum_over_classes_that_do_not_pass() -> None:
    scores = defect_scores(np.stack([row(0.5, 0.25, 0.125, 0.0625, 0.0625)]), PARTS)
    assert scores.tolist() == [0.25]
    assert scores.dtype == np.float64


@settings(max_examples=80, deadline=None, derandomize=True)
@given(PROBABILITIES)
def test_the_defect_score_is_a_probability(probabilities: npt.NDArray[np.float32]) -> None:
    assert 0.0 <= defect_scores(probabilities[None], PARTS)[0] <= 1.0


@pytest.mark.parametrize(
    ("score", "verdict"),
    [
        (0.0, Verdict.PASS),
        (np.nextafter(np.float32(0.25), np.float32(0)), Verdict.PASS),
        (0.25, Verdict.REVIEW),
        (np.nextafter(np.float32(0.75), np.float32(0)), Verdict.REVIEW),
        (0.75, Verdict.FAIL),
        (1.0, Verdict.FAIL),
    ],
)
def test_a_part_passes_below_one_limit_and_fails_from_the_other(
    score: float, verdict: Verdict
) -> None:
    assert decide(row(1 - score, 0, 0, score, 0), PARTS, POINT).verdict is verdict


def test_equal_limits_leave_nothing_to_review() -> None:
    point = OperatingPoint(pass_below=0.5, fail_from=0.5)
    verdicts = [decide(row(1 - s, 0, 0, s, 0), PARTS, point).verdict for s in (0.4375, 0.5)]
    assert verdicts == [Verdict.PASS, Verdict.FAIL]


def test_a_pass_limit_of_zero_passes_nothing() -> None:
    point = OperatingPoint(pass_below=0.0, fail_from=1.1)
    assert decide(row(1, 0, 0, 0, 0), PARTS, point).verdict is Verdict.REVIEW


def test_a_fail_limit_above_one_fails_nothing() -> None:
    point = OperatingPoint(pass_below=0.0, fail_from=1.1)
    assert decide(row(0, 0, 0, 1, 0), PARTS, point).verdict is Verdict.REVIEW


def test_a_pass_names_the_likeliest_good_class_even_when_a_bad_one_is_likelier() -> None:
    point = OperatingPoint(pass_below=0.5, fail_from=0.5)
    decision = decide(row(0.25, 0.3125, 0, 0.4375, 0), PARTS, point)
    assert (decision.verdict, decision.part_class) == (Verdict.PASS, "fine")


def test_a_review_names_the_likeliest_bad_class() -> None:
    decision = decide(row(0.25, 0.5, 0.0, 0.1875, 0.0625), PARTS, POINT)
    assert (decision.verdict, decision.part_class) == (Verdict.REVIEW, "crack")


def test_a_fail_names_the_likeliest_bad_class_even_when_a_good_one_is_likelier() -> None:
    point = OperatingPoint(pass_below=0.25, fail_from=0.5)
    decision = decide(row(0.4375, 0, 0.25, 0.3125, 0), PARTS, point)
    assert (decision.verdict, decision.part_class) == (Verdict.FAIL, "crack")


def test_a_class_that_people_look_at_goes_to_review_instead_of_failing() -> None:
    decision = decide(row(0, 0, 0.25, 0.0, 0.75), PARTS, POINT)
    assert (decision.verdict, decision.part_class) == (Verdict.REVIEW, "odd")
    assert decision.reason == "odd: review, defect score 1.000"


def test_a_recipe_without_good_class_fails_every_part() -> None:
    point = OperatingPoint(pass_below=0.0, fail_from=0.0)
    decision = decide(row(0.75, 0.25), ONLY_BAD, point)
    assert (decision.verdict, decision.part_class) == (Verdict.FAIL, "scratch")


def test_reasons_give_the_score_and_the_limit() -> None:
    reasons = [decide(row(1 - s, 0, 0, s, 0), PARTS, POINT).reason for s in (0.125, 0.5, 0.875)]
    assert reasons == [
        "defect score 0.125 below pass limit 0.250",
        "defect score 0.500 between pass limit 0.250 and fail limit 0.750",
        "crack: scrap, defect score 0.875",
    ]


def test_an_image_reason_sends_a_pass_to_review_and_stands_first_in_the_reason() -> None:
    decision = decide(row(1, 0, 0, 0, 0), PARTS, POINT, "too dark")
    assert decision.verdict is Verdict.REVIEW
    assert decision.reason == "too dark; defect score 0.000 below pass limit 0.250"
    assert decision.part_class == "good"


@pytest.mark.parametrize(("score", "verdict"), [(0.5, Verdict.REVIEW), (1.0, Verdict.FAIL)])
def test_an_image_reason_leaves_review_and_fail_as_they_are(score: float, verdict: Verdict) -> None:
    decision = decide(row(1 - score, 0, 0, score, 0), PARTS, POINT, "too dark")
    assert decision.verdict is verdict
    assert decision.reason.startswith("too dark; ")


@settings(max_examples=80, deadline=None, derandomize=True)
@given(PROBABILITIES, st.floats(0, 1.1), st.floats(0, 1.1))
def test_only_a_score_below_the_pass_limit_passes(
    probabilities: npt.NDArray[np.float32], one: float, other: float
) -> None:
    point = OperatingPoint(pass_below=min(one, other), fail_from=max(one, other))
    decision = decide(probabilities, PARTS, point)
    score = defect_scores(probabilities[None], PARTS)[0]
    assert decision.defect_score == score
    assert (decision.verdict is Verdict.PASS) == (score < point.pass_below)
    assert decision.verdict is not Verdict.FAIL or score >= point.fail_from
    assert decision.verdict is not Verdict.NOT_INSPECTED


@settings(max_examples=80, deadline=None, derandomize=True)
@given(PROBABILITIES)
def test_an_image_reason_never_lets_a_part_pass(probabilities: npt.NDArray[np.float32]) -> None:
    assert decide(probabilities, PARTS, POINT, "blurred").verdict is not Verdict.PASS


@pytest.mark.parametrize("where", [0, 3])
def test_a_score_that_is_not_a_number_never_passes(where: int) -> None:
    probabilities = row(1, 0, 0, 0, 0)
    probabilities[where] = np.nan
    probabilities[3] = np.nan
    assert decide(probabilities, PARTS, POINT).verdict is not Verdict.PASS


def test_of_several_tiles_a_fail_decides_before_a_review_with_a_higher_score() -> None:
    odd = decide(row(0.05, 0, 0, 0, 0.95), PARTS, POINT)
    crack = decide(row(0.06, 0, 0, 0.94, 0), PARTS, POINT)
    good = decide(row(1, 0, 0, 0, 0), PARTS, POINT)
    assert (odd.verdict, crack.verdict) == (Verdict.REVIEW, Verdict.FAIL)
    assert worst([good, odd, crack]) == 2


def test_of_tiles_with_one_verdict_the_highest_score_decides_and_of_equals_the_first() -> None:
    scores = (0.8, 0.9, 0.9)
    tiles = [decide(row(1 - s, 0, 0, s, 0), PARTS, POINT) for s in scores]
    assert worst(tiles) == 1


def test_a_tile_with_an_image_reason_decides_before_one_that_passes() -> None:
    good = decide(row(0.8, 0, 0.2, 0, 0), PARTS, POINT)
    dark = decide(row(1, 0, 0, 0, 0), PARTS, POINT, image_reason="too dark")
    assert worst([good, dark]) == 1
