"""The gate's check of a challenger against the champion."""

from __future__ import annotations

import pytest

from pipeline.contracts.evaluation import Check, CheckState, Comparison, Difference
from pipeline.metrics.champion.check import champion_check
from pipeline.metrics.champion.comparison import not_compared


def differs(
    value: float,
    half: float = 0.01,
    *,
    within: bool | None = True,
    margin: float | None = 0.02,
    more_groups: int | None = 0,
) -> Difference:
    return Difference(
        champion=0.1,
        challenger=0.1 + value,
        value=value,
        low=value - half,
        high=value + half,
        margin=margin,
        worst=value + 0.8 * half,
        within=within,
        more_groups=more_groups,
    )


def checked(something_passes: bool = True, /, **figures: Difference) -> Check:
    found = Comparison(champion="cell/1", n=100, figures=figures, sentence="against cell/1: …")
    return champion_check(found, something_passes=something_passes)


def test_a_challenger_that_is_proven_to_be_hardly_worse_passes() -> None:
    found = checked(escape_rate=differs(0.0), review_rate=differs(-0.1))
    assert (found.state, found.sentence) == (CheckState.PASSED, "against cell/1: …")


def test_no_significant_difference_proves_nothing() -> None:
    found = checked(escape_rate=differs(0.0, 0.05, within=False, more_groups=12))
    assert found.state is CheckState.NOT_PROVEN
    assert "escapes up to 4.0 points more (margin 2)" in found.sentence
    assert found.remedy == "12 more test groups like these would prove it"


def test_of_several_figures_that_missing_most_counts_and_one_that_cannot_be_proven_names_it() -> (
    None
):
    unproven = [differs(0.0, 0.05, within=False, more_groups=n) for n in (1, 30)]
    found = checked(escape_rate=unproven[0], accuracy=unproven[1])
    assert found.remedy == "30 more test groups like these would prove it"
    never = differs(0.025, 0.05, within=False, more_groups=None)
    found = checked(escape_rate=unproven[0], accuracy=never)
    assert found.remedy == "no number of test parts like these would prove it"


def test_surely_more_escapes_are_refused_unless_they_are_proven_to_stay_within_the_margin() -> None:
    found = checked(escape_rate=differs(0.015, within=False))
    assert found.state is CheckState.FAILED
    assert "more escapes than the champion's are refused" in found.sentence
    assert checked(escape_rate=differs(0.01, 0.005)).state is CheckState.ATTENTION


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [("review_rate", 0.2, "review"), ("accuracy", -0.2, "accuracy")],
)
def test_a_figure_that_is_worse_by_more_than_its_margin_is_refused(
    name: str, value: float, word: str
) -> None:
    found = checked(True, escape_rate=differs(0.0), **{name: differs(value, within=False)})
    assert found.state is CheckState.FAILED
    assert f"worse than the champion in {word} by more than the margin" in found.sentence
    unasked = differs(value, within=None, margin=None)
    assert checked(True, escape_rate=differs(0.0), **{name: unasked}).state is CheckState.ATTENTION


def test_a_figure_without_an_interval_is_not_proven() -> None:
    alone = differs(0.0, within=False, more_groups=None).model_copy(
        update={"low": None, "high": None, "worst": None}
    )
    found = checked(escape_rate=alone)
    assert found.state is CheckState.NOT_PROVEN
    assert "escapes of one group (margin 2)" in found.sentence


def test_without_a_champion_nothing_was_checked_and_one_out_of_reach_is_not_proven() -> None:
    nobody = not_compared("", "no champion is signed off yet")
    assert champion_check(nobody, something_passes=True).state is CheckState.NOT_CHECKED
    same = not_compared("cell/1", "this bundle is the champion itself")
    assert champion_check(same, something_passes=True).state is CheckState.NOT_CHECKED
    away = nobody.model_copy(update={"out_of_reach": True})
    assert champion_check(away, something_passes=True).state is CheckState.NOT_PROVEN


def test_where_nothing_passes_less_accuracy_is_refused() -> None:
    found = checked(False, accuracy=differs(-0.015, within=False))
    assert "less accuracy than the champion's are refused" in found.sentence
