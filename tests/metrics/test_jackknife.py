"""Intervals of figures that are not shares, by leaving groups out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.metrics.classification import auroc
from pipeline.metrics.jackknife import MOST_BLOCKS, grouped_interval
from pipeline.metrics.rates import END, lower_bound

Ints = npt.NDArray[np.intp]


def mean_interval(values: npt.NDArray[np.float64], groups: Sequence[str]) -> list[float]:
    every = np.ones(len(values), bool)
    found = grouped_interval(lambda rows: float(values[rows].mean()), groups, every)
    assert found is not None
    return found


def alone(n: int) -> list[str]:
    return [str(i) for i in range(n)]


def test_an_interval_is_wider_when_the_rows_of_a_group_agree() -> None:
    values = np.repeat(np.random.default_rng(0).random(20), 10)
    low, high = mean_interval(values, [f"g{i // 10}" for i in range(200)])
    alone_low, alone_high = mean_interval(values, alone(200))
    assert high - low > 2 * (alone_high - alone_low)


def test_an_interval_of_many_groups_is_that_of_theory() -> None:
    values = np.random.default_rng(0).beta(5, 5, MOST_BLOCKS)
    half = 1.97 * values.std() / np.sqrt(MOST_BLOCKS)
    expected = [values.mean() - half, values.mean() + half]
    assert mean_interval(values, alone(MOST_BLOCKS)) == pytest.approx(expected, abs=half / 20)


def test_a_figure_near_one_has_more_room_below_it_than_above_and_stays_below_one() -> None:
    values = np.random.default_rng(0).beta(20, 1, 12)
    low, high = mean_interval(values, alone(12))
    assert 0 < low < values.mean() < high < 1
    assert values.mean() - low > 1.3 * (high - values.mean())


def test_one_group_that_carries_the_figure_makes_it_less_sure() -> None:
    """The same spread of influences, once from all groups alike and once from a single one."""
    alike = 0.5 + 0.05 * np.tile([1.0, -1.0], 20)
    one = np.full(40, 0.5)
    one[0] += 0.05 * np.sqrt(40 * 40 / 39)
    one += 0.5 - one.mean()
    even, odd = (np.ptp(mean_interval(values, alone(40))) for values in (alike, one))
    assert odd > 1.9 * even


def test_whole_groups_are_left_out_and_rows_stay_in_order() -> None:
    seen: list[list[int]] = []

    def note(rows: Ints) -> float:
        seen.append(rows.tolist())
        return 0.5

    grouped_interval(note, ["a", "b", "a", "b", "a", "c"], np.ones(6, bool))
    assert seen == [[0, 1, 2, 3, 4, 5], [1, 3, 5], [0, 2, 4, 5], [0, 1, 2, 3, 4]]


def test_of_many_groups_several_are_left_out_at_once_each_of_them_once() -> None:
    left_out: list[int] = []

    def note(rows: Ints) -> float:
        left_out.extend(np.setdiff1d(np.arange(1000), rows).tolist())
        return 0.5

    grouped_interval(note, alone(1000), np.ones(1000, bool))
    assert sorted(left_out) == list(range(1000))


def test_a_perfect_ranking_is_as_sure_as_its_rarest_parts_are_many() -> None:
    bad = np.arange(200) < 10
    scores = bad[:, None].astype(float)

    def ranking(rows: Ints) -> float:
        return auroc(bad[rows, None], scores[rows])

    low, high = grouped_interval(ranking, alone(200), bad) or [0.0, 0.0]
    assert low == pytest.approx(lower_bound(10, 10, END))
    assert high == 1.0


def test_a_figure_that_hangs_on_one_group_has_no_interval() -> None:
    groups, bad = ["a"] * 5 + ["b"] * 5 + ["c"] * 5, np.arange(15) < 3
    scores = np.random.default_rng(0).random((15, 1))

    def ranking(rows: Ints) -> float:
        return auroc(bad[rows, None], scores[rows])

    assert grouped_interval(ranking, groups, bad) is None


def test_a_figure_that_is_not_defined_has_no_interval() -> None:
    assert grouped_interval(lambda _: float("nan"), ["a", "b"], np.ones(2, bool)) is None


def test_one_group_gives_no_interval() -> None:
    assert grouped_interval(lambda _: 0.55, ["module"] * 50, np.ones(50, bool)) is None
    assert grouped_interval(lambda _: 0.55, [], np.zeros(0, bool)) is None
