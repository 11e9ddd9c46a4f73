"""Review share by promise, what moves it, and the group that sets the limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from pipeline.metrics.conformal import Conformal
from pipeline.metrics.operating_point import choose
from pipeline.metrics.promises import MaxEscape
from pipeline.metrics.review.outlook import ScoredParts, limit_group, outlook

POLICY = MaxEscape(max_escape=0.1, max_overkill=0.1, confidence=0.8)


def parts(groups: int = 40, size: int = 15, seed: int = 0) -> ScoredParts:
    """Groups of equal size with a shared effect on the score, a third of the parts bad."""
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(groups), size)
    bad = rng.random(len(of)) < 0.33
    at = 0.5 * rng.standard_normal(groups)[of] + rng.standard_normal(len(of)) + 2 * bad - 1
    names = np.array([f"module {g}" for g in of])
    return ScoredParts(expit(at), bad, names, np.zeros(len(of), bool))


def test_the_stricter_the_promise_the_more_a_person_sees() -> None:
    found = outlook(POLICY, parts())
    assert found is not None
    assert [step.max_escape for step in found.steps] == pytest.approx([0.02, 0.05, 0.1, 0.2])
    shares = [step.review.value or 0.0 for step in found.steps]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > shares[-1] + 0.1
    for step in found.steps:
        assert step.review.low is not None
        assert step.review.high is not None
        assert step.review.low < (step.review.value or 0.0) < step.review.high


def test_the_step_of_the_policys_own_promise_is_what_its_limits_leave_to_a_person() -> None:
    known = parts()
    found = outlook(POLICY, known)
    assert found is not None
    point = choose(POLICY, known.scores, known.bad, known.groups.tolist()).point
    assert found.now == found.steps[2].review
    assert found.now.k == int(known.reviewed(point).sum())
    assert "at 10 % escapes" in found.against_promise
    assert "10 % overkill at 80 % confidence, on 600 out-of-fold" in found.against_promise


def test_a_promise_that_the_parts_do_not_prove_is_marked() -> None:
    found = outlook(MaxEscape(max_escape=0.02, max_overkill=0.1), parts(groups=12))
    assert found is not None
    assert not found.steps[0].proven
    assert ", not proven)" in found.against_promise


def test_each_lever_is_the_policy_choosing_again_and_the_best_one_comes_first() -> None:
    known = replace(parts(), doubted=np.arange(600) % 60 == 0)
    found = outlook(POLICY, known)
    assert found is not None
    assert {lever.name for lever in found.levers} == {"ranking", "groups", "labels"}
    shares = [lever.review for lever in found.levers]
    assert shares == sorted(shares)
    by_name = {lever.name: lever for lever in found.levers}
    assert by_name["groups"].review < (found.now.value or 0.0)
    assert by_name["ranking"].review < (found.now.value or 0.0)
    assert by_name["labels"].change.startswith("the 10 labels")
    assert found.moved_by.startswith("what lowers review most here is a better ranking")


def test_wrong_labels_move_more_than_groups_where_they_hold_the_limits_back() -> None:
    """Parts that look bad and are labelled good keep the fail limit high."""
    known, rng = parts(groups=60), np.random.default_rng(1)
    wrong = known.bad & (rng.random(900) < 0.25)
    mislabelled = replace(known, bad=known.bad & ~wrong, doubted=wrong)
    found = outlook(POLICY, mislabelled)
    assert found is not None
    review = {lever.name: lever.review for lever in found.levers}
    assert review["labels"] < review["groups"]
    assert review["labels"] < (found.now.value or 0.0) - 0.05


def test_without_doubted_labels_they_are_no_lever() -> None:
    found = outlook(POLICY, parts())
    assert found is not None
    assert {lever.name for lever in found.levers} == {"ranking", "groups"}


def test_parts_in_perfect_order_need_no_better_ranking() -> None:
    known = parts()
    found = outlook(POLICY, replace(known, scores=np.where(known.bad, 0.9, 0.1)))
    assert found is not None
    assert roc_auc_score(known.bad, np.where(known.bad, 0.9, 0.1)) == 1
    assert [lever.name for lever in found.levers] == ["groups"]
    assert found.moved_by == ""


def test_the_group_that_sets_the_limits_is_named_with_the_review_without_it() -> None:
    known = parts()
    odd = (known.groups == "module 7") & ~known.bad
    scores = np.where(odd, 0.999, known.scores)
    held = replace(known, scores=scores)
    point = held.chosen(POLICY).point
    found = limit_group(POLICY, held, point)
    assert found is not None
    assert found.group == "module 7"
    others = held.only(held.groups != "module 7").chosen(POLICY).point
    assert found.review == pytest.approx(float(held.reviewed(others).mean()))
    assert found.review <= float(held.reviewed(point).mean()) - 0.02
    assert found.sentence.startswith("the limits are set by group module 7: chosen without it")
    assert f"{odd.sum()} of its {odd.sum()} good parts fail" in found.sentence
    assert found.sentence.endswith("look at its labels")


def test_where_no_group_stands_out_none_is_named() -> None:
    known = parts(groups=200, size=5)
    assert limit_group(POLICY, known, known.chosen(POLICY).point) is None


def test_a_policy_on_average_has_its_curve_too() -> None:
    found = outlook(Conformal(type="conformal", max_escape=0.1, max_overkill=0.1), parts())
    assert found is not None
    assert "with 10 % overkill, on 600" in found.against_promise


@pytest.mark.parametrize("kind", [True, False])
def test_parts_of_one_kind_have_no_outlook(kind: bool) -> None:
    known = parts()
    assert outlook(POLICY, known.only(known.bad == kind)) is None
