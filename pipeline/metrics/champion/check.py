"""The gate's check of a challenger against the champion."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.contracts.evaluation import LESS_IS_BETTER, Check, CheckState, Comparison, Difference
from pipeline.metrics.champion.comparison import WORDS, worse_in
from pipeline.metrics.rates import asked


def champion_check(comparison: Comparison, *, something_passes: bool) -> Check:
    """Passed only where the parts prove that no figure is worse by more than its margin.

    Failed where one is worse by more than that, or where there are surely more escapes (less
    accuracy, where no class passes) and nothing proves that they stay within the margin.
    """
    if comparison.out_of_reach:
        text = f"the champion could not be asked{_because(comparison)}"
        remedy = "evaluate again when it can be"
        return _check(CheckState.NOT_PROVEN, text, remedy)
    if not comparison.champion:
        text = f"no champion to compare with{_because(comparison)}"
        return _check(CheckState.NOT_CHECKED, text)
    if comparison.not_run:
        text = f"not compared with champion {comparison.champion}{_because(comparison)}"
        return _check(CheckState.NOT_CHECKED, text)
    figures, worse = comparison.figures, worse_in(comparison)
    # Where nothing can escape, what counts is the class.
    counts = "escape_rate" if something_passes else "accuracy"
    if counts in worse and not figures[counts].within:
        refused = "more escapes" if something_passes else "less accuracy"
        text = f"{comparison.sentence}; {refused} than the champion's are refused"
        return _check(CheckState.FAILED, text)
    if beyond := [name for name in worse if _beyond(name, figures[name])]:
        text = f"worse than the champion in {_named(beyond)} by more than the margin: "
        return _check(CheckState.FAILED, text + comparison.sentence)
    if unproven := {name: found for name, found in figures.items() if found.within is False}:
        listed = ", ".join(_at_most(name, found) for name, found in unproven.items())
        text = f"not proven to stay within the margins of champion {comparison.champion}: {listed}"
        return _check(CheckState.NOT_PROVEN, text, _remedy(unproven.values()))
    if worse:
        text = f"worse than the champion in {_named(worse)}: {comparison.sentence}"
        return _check(CheckState.ATTENTION, text)
    return _check(CheckState.PASSED, comparison.sentence)


def _check(state: CheckState, sentence: str, remedy: str = "") -> Check:
    return Check(name="champion", state=state, sentence=sentence, remedy=remedy)


def _because(comparison: Comparison) -> str:
    return f": {comparison.not_run}" if comparison.not_run else ""


def _named(names: Iterable[str]) -> str:
    return " and ".join(WORDS.get(name, name) for name in names)


def _beyond(name: str, found: Difference) -> bool:
    """Is it worse by more than the margin, whichever end of the interval is true?"""
    if found.margin is None or found.low is None or found.high is None:
        return False
    return (found.low if name in LESS_IS_BETTER else -found.high) > found.margin


def _at_most(name: str, found: Difference) -> str:
    """`escapes up to 4.3 points more (margin 2)`."""
    margin = f"margin {asked(found.margin or 0.0)}"
    if found.worst is None:
        return f"{WORDS.get(name, name)} of one group ({margin})"
    way = "more" if name in LESS_IS_BETTER else "less"
    return f"{WORDS.get(name, name)} up to {100 * found.worst:.1f} points {way} ({margin})"


def _remedy(unproven: Iterable[Difference]) -> str:
    missing = [found.more_groups for found in unproven]
    known = [n for n in missing if n is not None]
    if not missing or len(known) < len(missing):
        return "no number of test parts like these would prove it"
    groups = f"{max(known)} more test group{'' if max(known) == 1 else 's'}"
    return f"{groups} like these would prove it"
