"""Is a challenger worse by no more than a margin?"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from pipeline.contracts.evaluation import Difference
from pipeline.metrics.champion.noninferiority import Margins, Uncertainty, judge_margins, spread

MARGINS = Margins().asked(something_passes=True)


def judged(
    margins: dict[str, float] = MARGINS, error: float = 0.01, **values: float
) -> dict[str, Difference]:
    """Differences of the given values, all of one standard error, from 40 groups."""
    names = ("escape_rate", "overkill_rate", "review_rate", "accuracy")
    figures = {
        name: Difference(
            champion=0.5, challenger=0.5 + value, value=value, low=value - 0.02, high=value + 0.02
        )
        for name in names
        for value in (values.get(name, 0.0),)
    }
    return judge_margins(figures, dict.fromkeys(names, Uncertainty(error, 39.0, 40)), margins)


def within(figures: dict[str, Difference]) -> list[str]:
    return [name for name, found in figures.items() if found.within]


def test_equal_figures_are_within_the_margins_where_they_are_known_well_enough() -> None:
    assert len(within(judged())) == 4
    assert within(judged(error=0.2)) == []


def test_the_bound_not_the_difference_has_to_lie_within_the_margin() -> None:
    found = judged(escape_rate=0.01)["escape_rate"]
    assert found.worst == pytest.approx(0.01 + 0.01 * t.ppf(0.95, 39))
    assert (found.margin, found.within) == (0.02, False)
    assert judged(escape_rate=0.002)["escape_rate"].within


def test_fewer_escapes_and_more_accuracy_are_never_beyond_a_margin() -> None:
    assert len(within(judged(escape_rate=-0.3, review_rate=-0.3, accuracy=0.3))) == 4
    assert judged(accuracy=-0.3)["accuracy"].within is False


def test_escapes_are_judged_by_themselves_and_the_others_share_one_error() -> None:
    """Each of three is proven at 5 % alone, none at a third of that."""
    half = 0.01 * t.ppf(0.95, 39)
    near = {"overkill_rate": 0.0499 - half, "review_rate": 0.0499 - half}
    found = judged(escape_rate=0.0199 - half, accuracy=-(0.0499 - half), **near)
    assert within(found) == ["escape_rate"]
    assert within(judged(**near)) == ["escape_rate", "accuracy"]
    assert "review_rate" in within(judged(review_rate=0.0499 - half))


def test_as_many_groups_as_are_missing_prove_it() -> None:
    found = judged(escape_rate=0.01, error=0.02)["escape_rate"]
    assert found.more_groups
    n = 40 + found.more_groups
    enough = Uncertainty(0.02 * np.sqrt(40 / n), n - 1, n)
    assert 0.01 + enough.half(0.95) <= 0.02
    assert judged(escape_rate=0.02)["escape_rate"].more_groups is None


def test_what_is_not_asked_is_not_judged() -> None:
    asked = Margins(review=None).asked(something_passes=True)
    found = judged(asked, review_rate=0.4)
    assert (found["review_rate"].margin, found["review_rate"].within) == (None, None)


def test_where_no_class_passes_only_the_class_counts() -> None:
    assert Margins().asked(something_passes=False) == {"accuracy": 0.05}


def test_draws_of_few_groups_are_widened_and_answers_that_hardly_differ_have_a_spread() -> None:
    drawn, groups = np.random.default_rng(0).normal(0, 0.1, 5000), np.arange(90) // 10
    found = spread(drawn, groups)
    assert found is not None
    assert found.error == pytest.approx(0.1 * np.sqrt(9 / 8), rel=0.03)
    assert (found.freedom, found.groups) == (8, 9)
    still = spread(np.zeros(100), groups, np.zeros(90, np.intp))
    assert still is not None
    assert still.error == pytest.approx(np.sqrt(2) / 92, rel=0.01)


def test_one_group_or_too_few_draws_show_no_spread() -> None:
    assert spread(np.zeros(100), np.zeros(50, np.intp)) is None
    assert spread(np.where(np.arange(100) < 60, np.nan, 0.0), np.arange(50)) is None
    assert spread(np.zeros(0), np.zeros(0, np.intp)) is None
