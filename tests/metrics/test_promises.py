"""Promises hold on parts nobody has seen, also where the parts of a module fail together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError
from scipy.stats import norm

from pipeline.metrics import clustering
from pipeline.metrics.operating_point import choose
from pipeline.metrics.promises import MaxEscape, MaxOverkill

Floats = npt.NDArray[np.float64]
RESAMPLES = 300


def drawn(rng: np.random.Generator, alike: float) -> tuple[Floats, list[str]]:
    """Scores 0.5 + z / 20, z standard normal; a group shares the part `alike` of its variance."""
    of = np.repeat(np.arange(40), rng.integers(1, 24, 40))
    shared = np.sqrt(alike) * rng.normal(size=40)[of]
    z = shared + np.sqrt(1 - alike) * rng.normal(size=len(of))
    return 0.5 + z / 20, [f"g{g}" for g in of]


def kept(alike: float, *, told: bool, seed: int) -> tuple[float, float]:
    """In which share of resamples escapes, and overkill, of all parts there are stay as promised.

    Good and bad parts score alike, so no single limit could keep both promises. The shares are
    those of the population, which the normal distribution gives without drawing it.
    """
    rng = np.random.default_rng(seed)
    held = []
    for _ in range(RESAMPLES):
        (bad, bad_groups), (good, good_groups) = drawn(rng, alike), drawn(rng, alike)
        groups = bad_groups + [f"good {g}" for g in good_groups]
        point = choose(
            MaxEscape(max_escape=0.1, max_overkill=0.1),
            np.concatenate([bad, good]),
            np.repeat([True, False], [len(bad), len(good)]),
            groups if told else None,
        ).point
        escapes, overkill = norm.cdf([20 * (point.pass_below - 0.5), 20 * (0.5 - point.fail_from)])
        held.append((escapes <= 0.1, overkill <= 0.1))
    escaped, overkilled = np.mean(held, axis=0)
    return float(escaped), float(overkilled)


@pytest.mark.parametrize(("alike", "seed"), [(0.0, 0), (0.3, 1), (0.6, 2)])
def test_a_promise_holds_in_95_of_100_resamples_however_alike_the_parts_of_a_group(
    alike: float, seed: int
) -> None:
    assert min(kept(alike, told=True, seed=seed)) >= 0.95


def test_a_promise_to_independent_parts_needs_no_groups() -> None:
    assert min(kept(0.0, told=False, seed=0)) >= 0.95


def test_taking_the_parts_of_a_group_for_independent_breaks_the_promise() -> None:
    assert max(kept(0.3, told=False, seed=1)) < 0.9


def test_parts_that_are_each_their_own_group_are_counted_one_by_one() -> None:
    rng = np.random.default_rng(0)
    scores, bad = rng.random(300), rng.random(300) < 0.5
    policy = MaxEscape(max_escape=0.1)
    alone = choose(policy, scores, bad, [str(i) for i in range(300)])
    assert alone == choose(policy, scores, bad)


def test_grouping_that_costs_confidence_is_reported_with_what_the_parts_are_worth() -> None:
    scores = np.concatenate([np.repeat(np.linspace(0.2, 0.9, 30), 10), np.zeros(300)])
    bad = np.repeat([True, False], 300)
    groups = [f"module {i // 10}" for i in range(300)] + [f"good {i}" for i in range(300)]
    choice = choose(MaxEscape(max_escape=0.1), scores, bad, groups)
    assert choice.sentences[0] == (
        "the 300 bad validation parts come from 30 groups whose parts are alike: they prove as "
        "much as 29 independent parts would"
    )


def test_groups_too_few_to_prove_a_promise_are_reported_with_how_many_parts_would_do() -> None:
    scores = np.concatenate([np.repeat(np.linspace(0.2, 0.9, 10), 10), np.zeros(300)])
    bad = np.repeat([True, False], [100, 300])
    groups = [f"module {i // 10}" for i in range(100)] + [f"good {i}" for i in range(300)]
    choice = choose(MaxEscape(max_escape=0.1), scores, bad, groups)
    assert not choice.proven
    assert choice.point.pass_below <= 0.2
    assert "100 bad validation parts cannot prove an escape rate below 10 %" in choice.sentences[1]
    assert choice.sentences[1].endswith("would do, of as many groups in proportion")


def test_bad_parts_of_a_single_group_prove_next_to_nothing() -> None:
    scores = np.concatenate([np.linspace(0.3, 0.9, 500), np.linspace(0, 0.2, 500)])
    groups = ["the one module"] * 500 + [f"good {i}" for i in range(500)]
    choice = choose(MaxEscape(), scores, np.repeat([True, False], 500), groups)
    assert not choice.proven
    assert "without a single miss they prove 95.0 %" in choice.sentences[1]


def test_max_overkill_sets_one_limit_and_reports_what_escapes() -> None:
    scores = np.concatenate([np.linspace(0.3, 0.9, 100), np.linspace(0.0, 0.6, 200)])
    bad = np.repeat([True, False], [100, 200])
    choice = choose(MaxOverkill(type="max_overkill", max_overkill=0.05), scores, bad)
    assert choice.proven
    assert choice.point.pass_below == choice.point.fail_from
    assert (scores[~bad] >= choice.point.fail_from).sum() == 4  # of 200 no more can be proved
    escapes = (scores[bad] < choice.point.pass_below).sum()
    assert (
        f"no promise is made about escapes: {escapes} of 100 bad validation"
        in (choice.sentences[0])
    )


def test_max_overkill_needs_enough_good_parts() -> None:
    choice = choose(MaxOverkill(type="max_overkill"), np.linspace(0, 1, 40), np.arange(40) >= 20)
    assert not choice.proven
    assert "20 good validation parts cannot prove an overkill rate" in choice.sentences[0]


@pytest.mark.parametrize("kind", ["max_escape", "max_overkill"])
def test_a_confidence_of_a_half_promises_nothing_and_is_refused(kind: str) -> None:
    policy = MaxEscape if kind == "max_escape" else MaxOverkill
    with pytest.raises(ValidationError, match=r"greater than 0\.5"):
        policy.model_validate({"type": kind, "confidence": 0.5})


def test_a_few_large_groups_among_single_parts_are_worth_less_than_groups_of_one_size() -> None:
    rng = np.random.default_rng(0)
    unequal = rng.permutation(np.concatenate([np.repeat(np.arange(3), 100), np.arange(3, 103)]))
    equal = rng.permutation(np.repeat(np.arange(103), 4)[:400])
    worth = [clustering.effective_numbers(groups, 0.1, 0.95)[0] for groups in (unequal, equal)]
    assert worth[0] < 0.8 * worth[1]
