"""The gate: may this model be signed off without an override?

Each condition describes what was found and what is allowed. The gate asks whether the test
parts contradict what was promised, not whether they prove it: proof takes more bad parts than most
plants have, and `require_supported` is there for those that have them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipeline.contracts.evaluation import Check, Comparison, Gate, Golden, Share
from pipeline.contracts.records import Verdict
from pipeline.metrics.rates import asked, grouped_share, share_in_words
from pipeline.plugins import Strict

CHANCE = 0.5  # AUROC of a model that guesses
MOST_NAMED = 3


class GateRules(Strict):
    """`gate` of `conf/<recipe>/evaluate.yaml`."""

    min_auroc: float | None = Field(
        None,
        ge=CHANCE,
        le=1,
        description="Smallest AUROC on test parts with which a model passes; none: better than "
        "chance is enough.",
    )
    allow_leaky: bool = Field(
        False, description="Let a model pass although test parts are known from training."
    )
    require_supported: bool = Field(
        False, description="Fail the gate where the validation parts do not prove the promise."
    )


@dataclass(frozen=True)
class MissedShare:
    """Escapes among bad test parts, or overkill among good ones.

    Attributes:
        share: as the report has it.
        at_worst: lower end of its interval if every part were missed: no limit above it could ever
            be contradicted.
    """

    share: Share
    at_worst: float = 1.0


@dataclass(frozen=True)
class Measured:
    """Figures of the test parts that the gate uses.

    Attributes:
        escape: bad parts that passed.
        overkill: good parts that failed.
        auroc: None where it is not defined.
        auroc_ci95: [low, high], by a bootstrap over groups.
    """

    escape: MissedShare
    overkill: MissedShare
    auroc: float | None
    auroc_ci95: Sequence[float] | None


def measured(
    bad: npt.NDArray[np.bool_],
    verdicts: npt.NDArray[np.str_],
    groups: Sequence[str],
    auroc: float | None,
    auroc_ci95: Sequence[float] | None,
) -> Measured:
    """From the verdicts on test parts; N each."""
    named = np.asarray(groups, dtype=str)
    escape = _missed((verdicts == Verdict.PASS)[bad], named[bad])
    overkill = _missed((verdicts == Verdict.FAIL)[~bad], named[~bad])
    return Measured(escape, overkill, auroc, auroc_ci95)


def _missed(missed: npt.NDArray[np.bool_], groups: npt.NDArray[np.str_]) -> MissedShare:
    every = grouped_share(np.ones(len(missed), bool), groups)
    return MissedShare(grouped_share(missed, groups), 1.0 if every.low is None else every.low)


def gate(
    rules: GateRules,
    found: Measured,
    promise: Mapping[str, Any] | None,
    *,
    leaky: bool,
    golden: Golden | None,
    comparison: Comparison,
) -> Gate:
    """Put every condition to what the evaluation found.

    Args:
        rules: what the plant insists on.
        found: figures of the test parts.
        promise: `operating_point.promise`; None for a recipe in which no class passes, which has
            no limits and cannot let a part escape.
        leaky: test parts are known from training.
        golden: the parts that must never be judged wrong; None where the recipe names none.
        comparison: with the champion, run or not.

    Returns:
        Passed only if every check has.
    """
    checks = (
        *_promised(rules, found, promise),
        _ranking(rules, found),
        _leak(rules, leaky),
        _golden(golden),
        _champion(comparison, something_passes=promise is not None),
    )
    return Gate(passed=all(check.passed for check in checks), checks=checks)


def _promised(
    rules: GateRules, found: Measured, promise: Mapping[str, Any] | None
) -> Iterator[Check]:
    if promise is None:
        text = "no class of this recipe passes: without limits no part can escape"
        yield Check(name="promise", passed=True, sentence=text)
        return
    yield _contradicted("escapes", "bad", "pass", found.escape, promise.get("max_escape"))
    yield _contradicted("overkill", "good", "fail", found.overkill, promise.get("max_overkill"))
    if not promise.get("decides", True):
        text = "no limit could be chosen: every part goes to review"
        yield Check(name="supported", passed=False, sentence=text)
        return
    proven = bool(promise["supported"])
    words = "prove" if proven else "do not prove"
    asked = "" if proven or not rules.require_supported else "; require_supported asks for it"
    yield Check(
        name="supported",
        passed=proven or not rules.require_supported,
        sentence=f"the validation parts {words} the promise ({promise['said']}){asked}",
    )


def _contradicted(
    name: str, kind: str, verb: str, missed: MissedShare, limit: float | None
) -> Check:
    """Fails when even the lower end of the interval exceeds the limit, or nothing was measured."""
    if missed.share.low is None:
        text = f"the test split has no {kind} part: {name} cannot be measured; add some"
        return Check(name=name, passed=False, sentence=text)
    text = share_in_words(missed.share, f"{kind} test parts {verb}")
    if limit is None:
        return Check(name=name, passed=True, sentence=f"{text}; no limit was promised")
    if missed.at_worst <= limit:
        text += f": from too few groups to contradict at most {asked(limit)} %; add some"
        return Check(name=name, passed=False, sentence=text)
    passed = missed.share.low <= limit
    agrees = "does not contradict" if passed else "contradicts"
    return Check(
        name=name,
        passed=passed,
        sentence=f"{text}: {agrees} the promise of at most {asked(limit)} %",
    )


def _ranking(rules: GateRules, found: Measured) -> Check:
    if found.auroc is None:
        text = "AUROC is not defined: a class does not occur among the test parts"
        return Check(name="ranking", passed=False, sentence=text)
    if found.auroc_ci95 is None:
        text = f"AUROC {found.auroc:.3f} without an interval: too few groups have both answers"
        return Check(name="ranking", passed=False, sentence=text)
    low, high = found.auroc_ci95
    text = f"AUROC {found.auroc:.3f} ({low:.3f} to {high:.3f})"
    if low <= CHANCE:
        text += f": cannot be distinguished from chance, {CHANCE}"
        return Check(name="ranking", passed=False, sentence=text)
    text += f": better than chance, {CHANCE}"
    if rules.min_auroc is None:
        return Check(name="ranking", passed=True, sentence=text)
    passed = found.auroc >= rules.min_auroc
    text += f"; {'reaches' if passed else 'misses'} min_auroc {rules.min_auroc:.3f}"
    return Check(name="ranking", passed=passed, sentence=text)


def _leak(rules: GateRules, leaky: bool) -> Check:
    text = "no test part is known from training"
    if leaky:
        allowed = "allow_leaky lets it pass" if rules.allow_leaky else "make the split by group"
        text = f"test parts are known from training, all figures flatter; {allowed}"
    return Check(name="leak", passed=not leaky or rules.allow_leaky, sentence=text)


def _golden(golden: Golden | None) -> Check:
    if golden is None:
        text = "the recipe has no golden.csv: no part is asked for by name"
        return Check(name="golden", passed=True, sentence=text)
    if not golden.misses:
        text = f"all {golden.n} golden parts judged right"
        if golden.splits.get("train"):
            text += f" ({golden.splits['train']} of them training parts, known to the model)"
        return Check(name="golden", passed=True, sentence=text)
    named = [
        f"{miss.sample_id} ({miss.verdict}, wanted {miss.wanted})"
        for miss in golden.misses[:MOST_NAMED]
    ]
    more = len(golden.misses) - len(named)
    text = (
        f"{len(golden.misses)} of {golden.n} golden parts judged wrong: {', '.join(named)}"
        f"{f' and {more} more' if more else ''}; none is allowed"
    )
    return Check(name="golden", passed=False, sentence=text)


def _champion(comparison: Comparison, *, something_passes: bool) -> Check:
    if comparison.out_of_reach:
        text = f"the champion could not be asked{_because(comparison)}; evaluate again when it can"
        return Check(name="champion", passed=False, sentence=text)
    if not comparison.champion:
        text = f"no champion to compare with{_because(comparison)}"
        return Check(name="champion", passed=True, sentence=text)
    if comparison.not_run:
        text = f"not compared with champion {comparison.champion}{_because(comparison)}"
        return Check(name="champion", passed=True, sentence=text)
    text = comparison.sentence
    if something_passes:
        escapes = comparison.figures.get("escape_rate")
        worse = escapes is not None and escapes.low is not None and escapes.low > 0
        refused = "; more escapes than the champion's are refused"
    else:  # nothing can escape: what counts is the class
        accuracy = comparison.figures.get("accuracy")
        worse = accuracy is not None and accuracy.high is not None and accuracy.high < 0
        refused = "; less accuracy than the champion's is refused"
    return Check(name="champion", passed=not worse, sentence=text + (refused if worse else ""))


def _because(comparison: Comparison) -> str:
    return f": {comparison.not_run}" if comparison.not_run else ""
