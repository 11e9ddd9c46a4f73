"""Limits that keep their promise on parts nobody has seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from pipeline.config import load
from pipeline.contracts.bundle import OperatingPoint
from pipeline.errors import ConfigError, DataError
from pipeline.metrics.conformal import Conformal
from pipeline.metrics.costs import Cost
from pipeline.metrics.operating_point import (
    Choice,
    FixedLimits,
    Policy,
    choose,
    nothing_passes,
    promise,
)
from pipeline.metrics.promises import MaxEscape, MaxOverkill
from pipeline.metrics.rates import upper_bound
from pipeline.plugins import Strict

AnyPolicy = MaxEscape | MaxOverkill | Cost | FixedLimits | Conformal

LEVELS = st.lists(
    st.tuples(st.sampled_from(np.linspace(0, 1, 11).tolist()), st.booleans()),
    min_size=1,
    max_size=150,
)


class Asked(Strict):
    """As in evaluate.yaml."""

    policy: Policy


def chosen(
    bad: npt.ArrayLike, good: npt.ArrayLike, max_escape: float = 0.05, max_overkill: float = 0.05
) -> Choice:
    """Limits for the scores of bad and of good parts, at 95 % confidence."""
    bad, good = np.asarray(bad, np.float64), np.asarray(good, np.float64)
    return choose(
        MaxEscape(max_escape=max_escape, max_overkill=max_overkill),
        np.concatenate([bad, good]),
        np.repeat([True, False], [len(bad), len(good)]),
    )


def test_both_promises_hold_on_parts_like_these_as_often_as_promised() -> None:
    rng = np.random.default_rng(0)
    kept = []
    for _ in range(250):
        point = chosen(rng.beta(5, 2, 200), rng.beta(2, 5, 200)).point
        escapes = beta(5, 2).cdf(point.pass_below)
        overkill = beta(2, 5).sf(point.fail_from)
        kept.append((escapes <= 0.05, overkill <= 0.05))
    # 200 parts allow 4 misses, which keeps the promise in 97.4 % of trials; 5 would in 93.8 %.
    assert (np.mean(kept, axis=0) >= 0.955).all()


def test_the_promise_holds_on_held_out_parts() -> None:
    rng = np.random.default_rng(1)
    held_bad, held_good = rng.beta(5, 2, 20_000), rng.beta(2, 5, 20_000)
    point = chosen(rng.beta(5, 2, 2000), rng.beta(2, 5, 2000)).point
    assert 0.03 < (held_bad < point.pass_below).mean() <= 0.05
    assert 0.03 < (held_good >= point.fail_from).mean() <= 0.05


@settings(max_examples=80, deadline=None, derandomize=True)
@given(LEVELS, st.sampled_from([0.02, 0.1, 0.3]), st.sampled_from([0.02, 0.1, 0.3]))
def test_no_more_misses_than_can_be_proved_whatever_the_ties(
    parts: list[tuple[float, bool]], max_escape: float, max_overkill: float
) -> None:
    bad = [s for s, is_bad in parts if is_bad]
    good = [s for s, is_bad in parts if not is_bad]
    if not bad or not good:
        return
    choice = chosen(bad, good, max_escape, max_overkill)
    escapes = sum(s < choice.point.pass_below for s in bad)
    overkills = sum(s >= choice.point.fail_from for s in good)
    assert escapes == 0 or upper_bound(escapes, len(bad), 0.95) <= max_escape
    assert overkills == 0 or upper_bound(overkills, len(good), 0.95) <= max_overkill
    assert choice.proven == (
        upper_bound(0, len(bad), 0.95) <= max_escape
        and upper_bound(0, len(good), 0.95) <= max_overkill
    )


def test_as_many_parts_are_misjudged_as_each_promise_allows() -> None:
    scores = np.linspace(0.1, 0.9, 200)
    point = chosen(scores, scores, max_escape=0.05, max_overkill=0.2).point
    assert (scores < point.pass_below).sum() == 4  # P(Bin(200, 0.05) <= 4) = 2.6 %, of 5: 6.2 %
    assert (scores >= point.fail_from).sum() == 30  # P(Bin(200, 0.2) <= 30) = 4.3 %, of 31: 6.3 %


def test_parts_that_all_score_alike_neither_pass_nor_fail() -> None:
    point = chosen([0.5] * 100, [0.5] * 100).point
    assert point.pass_below <= 0.5 < point.fail_from


def test_classes_that_separate_get_one_limit_between_them() -> None:
    choice = chosen(np.linspace(0.8, 0.9, 100), np.linspace(0.1, 0.2, 100))
    assert choice.point.pass_below == choice.point.fail_from
    assert 0.2 < choice.point.pass_below < 0.8
    assert choice == Choice(choice.point, proven=True, sentences=())


def test_scores_up_to_the_ends_of_the_scale_are_accepted() -> None:
    point = chosen([0.0] * 100, [1.0] * 100).point
    assert point.pass_below == 0.0
    assert point.fail_from > 1.0


def test_where_every_class_is_bad_every_part_fails() -> None:
    choice = nothing_passes()
    assert (choice.point.pass_below, choice.point.fail_from) == (0.0, 0.0)


def test_without_a_good_part_nothing_fails_unseen() -> None:
    choice = chosen(np.linspace(0.5, 1, 100), [])
    assert choice.point.fail_from > 1.0
    assert not choice.proven
    assert "validation has no good part" in choice.sentences[0]


def test_without_a_bad_part_every_part_goes_to_review() -> None:
    choice = chosen([], [0.1, 0.2])
    assert choice.point.pass_below == 0.0
    assert choice.point.fail_from > 1.0
    assert not choice.proven
    assert "validation has no bad part" in choice.sentences[0]


def test_good_parts_alone_set_both_limits_for_a_model_of_good_parts() -> None:
    policy = Conformal(type="conformal", max_escape=0.1, max_overkill=0.1, max_review=0.3)
    scores = np.linspace(0, 0.99, 100)
    choice = choose(policy, scores, np.zeros(100, bool), from_good=True)
    # 9 of 100 may fail, 10 / 101 = 9.9 %, and 29 may fail or be looked at.
    assert (scores >= choice.point.fail_from).sum() == 9
    assert (scores >= choice.point.pass_below).sum() == 29
    assert not choice.proven
    assert choice.missing_bad == 9
    assert choice.sentences[0] == "escapes are not proven: no bad part is known"
    assert promise(policy, choice)["bad_known"] is False


def test_too_few_good_parts_let_none_fail_rather_than_promise_too_much() -> None:
    policy = MaxEscape(max_overkill=0.05, max_review=0.25)
    choice = choose(policy, np.linspace(0, 0.9, 10), np.zeros(10, bool), from_good=True)
    assert choice.point.fail_from > 1
    assert 0 < choice.point.pass_below < 0.9
    assert choice.missing_good == 9


def test_one_limit_stays_one_limit_where_only_good_parts_are_known() -> None:
    policy = MaxOverkill(type="max_overkill", max_overkill=0.1)
    choice = choose(policy, np.linspace(0, 0.99, 100), np.zeros(100, bool), from_good=True)
    assert choice.point.pass_below == choice.point.fail_from
    assert not choice.proven


def test_few_bad_parts_only_ever_lower_the_pass_limit_of_the_good_ones() -> None:
    policy = Conformal(type="conformal", max_escape=0.05, max_overkill=0.05)
    scores, bad = np.linspace(0, 0.99, 100), np.arange(102) >= 100
    alone = choose(policy, scores, bad[:100], from_good=True).point
    far = choose(policy, np.r_[scores, 0.98, 0.99], bad, from_good=True)
    assert far.point == alone
    assert not far.proven
    near = choose(policy, np.r_[scores, 0.2, 0.3], bad, from_good=True)
    assert near.point.pass_below == pytest.approx(0.2)
    assert near.point.fail_from == alone.fail_from


def test_enough_bad_parts_set_the_limits_of_a_model_of_good_parts_as_of_any() -> None:
    rng = np.random.default_rng(0)
    scores, bad = rng.random(400), np.arange(400) < 200
    policy = Conformal(type="conformal", max_escape=0.05, max_overkill=0.05)
    assert choose(policy, scores, bad, from_good=True) == choose(policy, scores, bad)


@pytest.mark.parametrize("alike", [1, 5])
def test_overkill_set_by_good_parts_holds_on_average_for_the_next_group(alike: int) -> None:
    """Groups of parts that are exactly alike, skewed in size: the conformal limit is by group."""
    rng, overkill = np.random.default_rng(0), []
    policy = Conformal(type="conformal", max_escape=0.1, max_overkill=0.1)
    for _ in range(400):
        sizes = rng.integers(1, alike + 1, 30)
        scores = np.repeat(rng.random(30), sizes)
        groups = np.repeat(np.arange(30), sizes).astype(str).tolist()
        bad = np.zeros(len(scores), bool)
        overkill.append(1 - choose(policy, scores, bad, groups, from_good=True).point.fail_from)
    # Of 30 groups 2 may fail: 3 / 31 = 9.7 %.
    error = np.std(overkill) / np.sqrt(len(overkill))
    assert np.mean(overkill) <= 0.1 + 2 * error
    assert np.mean(overkill) > 0.06


def test_without_any_part_nothing_is_proved() -> None:
    assert not chosen([], []).proven


def test_too_few_bad_parts_are_reported_with_how_many_would_do() -> None:
    choice = chosen(np.linspace(0.5, 0.9, 30), np.linspace(0.1, 0.6, 200))
    assert not choice.proven
    assert choice.sentences == (
        "30 bad validation parts cannot prove an escape rate below 5 %: without a single miss "
        "they prove 9.5 %; 59 would do",
    )


def test_too_few_bad_parts_let_none_of_them_pass() -> None:
    bad = np.linspace(0.3, 0.9, 30)
    assert chosen(bad, np.linspace(0.1, 0.6, 200)).point.pass_below == pytest.approx(0.3)


def test_too_few_good_parts_are_reported_with_how_many_would_do() -> None:
    good = np.linspace(0.1, 0.6, 20)
    choice = chosen(np.linspace(0.5, 0.9, 200), good)
    assert not choice.proven
    assert choice.sentences == (
        "20 good validation parts cannot prove an overkill rate below 5 %: without a single miss "
        "they prove 13.9 %; 59 would do",
    )
    assert (good >= choice.point.fail_from).sum() == 0


SCORES, BAD = np.linspace(0, 1, 200), np.arange(200) >= 120


def test_shares_that_hold_together_are_proven_as_surely_as_each_at_half_the_doubt() -> None:
    rng = np.random.default_rng(0)
    scores, bad = rng.beta(2 + 3 * BAD, 5 - 3 * BAD), BAD
    both = choose(MaxEscape(confidence=0.9, confidence_for="both"), scores, bad)
    assert both == choose(MaxEscape(confidence=0.95), scores, bad)
    each = choose(MaxEscape(confidence=0.9), scores, bad)
    assert each.point.pass_below > both.point.pass_below
    assert each.point.fail_from < both.point.fail_from


def test_fixed_limits_stay_as_given_with_what_they_do_in_words() -> None:
    choice = choose(FixedLimits(type="fixed", pass_below=0.2, fail_from=0.8), SCORES, BAD)
    assert choice.point == OperatingPoint(pass_below=0.2, fail_from=0.8)
    assert choice.sentences[0].startswith(
        "the limits are given: 0 of 80 bad validation parts pass (0 %, 0 to 4.5 %), 0 of 120 "
        "good ones fail (0 %, 0 to 3.0 %), 120 of 200 go to review (60.0 %, "
    )


@pytest.mark.parametrize(("kind", "unknown"), [(True, "overkill"), (False, "escapes")])
def test_fixed_limits_stay_where_validation_lacks_a_kind_of_part(kind: bool, unknown: str) -> None:
    policy = FixedLimits(type="fixed", pass_below=0.2, fail_from=0.8)
    choice = choose(policy, np.array([0.1, 0.9]), np.full(2, kind))
    assert (choice.point.pass_below, choice.point.fail_from) == (0.2, 0.8)
    assert not choice.proven
    assert f"nothing is known about {unknown}" in choice.sentences[0]


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -0.1, 1.5])
def test_scores_that_are_not_a_probability_are_refused(wrong: float) -> None:
    scores = SCORES.copy()
    scores[[7, 9]] = wrong
    with pytest.raises(DataError, match=r"2 of 200 defect scores are not .*of part 7\).*train"):
        choose(MaxEscape(), scores, BAD)


def test_parts_without_label_or_group_are_refused() -> None:
    with pytest.raises(DataError, match="200 scores for 199 labels"):
        choose(MaxEscape(), SCORES, BAD[1:])
    with pytest.raises(DataError, match="200 scores for 200 labels and 2 groups"):
        choose(MaxEscape(), SCORES, BAD, ["a", "b"])


@pytest.mark.parametrize(
    ("lines", "policy"),
    [
        ("type: max_escape", MaxEscape()),
        (
            "type: max_overkill\n  max_overkill: 0.2",
            MaxOverkill(type="max_overkill", max_overkill=0.2),
        ),
        (
            "type: cost\n  escape: 90\n  reject: 5\n  review: 1",
            Cost(type="cost", escape=90, reject=5, review=1),
        ),
        (
            "type: fixed\n  pass_below: 0.3\n  fail_from: 0.6",
            FixedLimits(type="fixed", pass_below=0.3, fail_from=0.6),
        ),
        ("type: conformal", Conformal(type="conformal")),
    ],
)
def test_a_policy_is_read_from_yaml_by_its_type(
    lines: str, policy: AnyPolicy, tmp_path: Path
) -> None:
    path = tmp_path / "evaluate.yaml"
    path.write_text(f"policy:\n  {lines}\n")
    assert load(path, Asked).policy == policy


def test_a_policy_that_does_not_exist_is_refused_with_those_that_do(tmp_path: Path) -> None:
    path = tmp_path / "evaluate.yaml"
    path.write_text("policy:\n  type: max_escapes\n")
    with pytest.raises(ConfigError, match=r'evaluate.yaml:2 .*did you mean "max_escape"\?'):
        load(path, Asked)


def test_fixed_limits_out_of_order_are_refused_in_their_line(tmp_path: Path) -> None:
    path = tmp_path / "evaluate.yaml"
    path.write_text("policy:\n  type: fixed\n  pass_below: 0.6\n  fail_from: 0.3\n")
    with pytest.raises(ConfigError, match=r"evaluate.yaml:1 .*fail_from 0.3 is below pass_below"):
        load(path, Asked)


@pytest.mark.parametrize(
    ("policy", "said", "keys"),
    [
        (
            MaxEscape(max_escape=0.02),
            "at most 2 % escapes and 5 % overkill, each at 95 % confidence",
            {"max_escape", "max_overkill", "confidence", "confidence_for"},
        ),
        (
            MaxEscape(max_escape=0.02, confidence=0.8, confidence_for="both"),
            "at most 2 % escapes and 5 % overkill, both together at 80 % confidence",
            {"max_escape", "max_overkill", "confidence", "confidence_for"},
        ),
        (
            MaxOverkill(type="max_overkill"),
            "at most 5 % overkill at 95 % confidence",
            {"max_overkill", "confidence"},
        ),
        (
            Conformal(type="conformal"),
            "at most 5 % escapes and 5 % overkill on average",
            {"max_escape", "max_overkill"},
        ),
        (
            Cost(type="cost", escape=9, reject=2, review=1),
            "the least cost a part",
            {"escape", "reject", "review", "bad_share"},
        ),
        (
            FixedLimits(type="fixed", pass_below=0.1, fail_from=0.2),
            "limits as given",
            {"pass_below", "fail_from"},
        ),
    ],
)
def test_what_is_promised_is_written_with_the_keys_of_its_policy(
    policy: AnyPolicy, said: str, keys: set[str]
) -> None:
    written = promise(policy, choose(policy, SCORES, BAD))
    needs = {"missing_bad", "missing_good"}
    assert set(written) - needs == keys | {"policy", "max_review", "supported", "said"}
    assert (written["policy"], written["said"]) == (policy.type, said)
