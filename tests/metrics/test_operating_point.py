"""Limits that keep their promise on parts nobody has seen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from pipeline.metrics.operating_point import Choice, choose, nothing_passes
from pipeline.metrics.promises import MaxEscape
from pipeline.metrics.rates import upper_bound

LEVELS = st.lists(
    st.tuples(st.sampled_from(np.linspace(0, 1, 11).tolist()), st.booleans()),
    min_size=1,
    max_size=150,
)


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
    assert choice.supported == (
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
    assert choice == Choice(choice.point, supported=True, sentences=())


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
    assert not choice.supported
    assert "validation has no good part" in choice.sentences[0]


def test_without_a_bad_part_every_part_goes_to_review() -> None:
    choice = chosen([], [0.1, 0.2])
    assert choice.point.pass_below == 0.0
    assert choice.point.fail_from > 1.0
    assert not choice.supported
    assert "validation has no bad part" in choice.sentences[0]


def test_without_any_part_nothing_is_proved() -> None:
    assert not chosen([], []).supported


def test_too_few_bad_parts_are_told_with_how_many_would_do() -> None:
    choice = chosen(np.linspace(0.5, 0.9, 30), np.linspace(0.1, 0.6, 200))
    assert not choice.supported
    assert choice.sentences == (
        "30 bad validation parts cannot prove an escape rate below 5.0%: without a single miss "
        "they prove 9.5%; 59 would do",
    )


def test_too_few_bad_parts_let_none_of_them_pass() -> None:
    bad = np.linspace(0.3, 0.9, 30)
    assert chosen(bad, np.linspace(0.1, 0.6, 200)).point.pass_below == pytest.approx(0.3)


def test_too_few_good_parts_are_told_with_how_many_would_do() -> None:
    good = np.linspace(0.1, 0.6, 20)
    choice = chosen(np.linspace(0.5, 0.9, 200), good)
    assert not choice.supported
    assert choice.sentences == (
        "20 good validation parts cannot prove an overkill rate below 5.0%: without a single miss "
        "they prove 13.9%; 59 would do",
    )
    assert (good >= choice.point.fail_from).sum() == 0
