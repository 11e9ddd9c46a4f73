"""The gate: may this model be signed off without an override?

Each condition describes what was found and what is allowed, and has one of five results: a check
that had nothing to check is not checked, never passed; what too few parts show is not proven, which
a signer may accept by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipeline.contracts.evaluation import Check, CheckState, Comparison, Gate, Golden
from pipeline.contracts.records import Verdict
from pipeline.metrics.champion.check import champion_check
from pipeline.metrics.champion.noninferiority import Margins
from pipeline.metrics.choice import MAX_REVIEW
from pipeline.metrics.promises import one_sided
from pipeline.metrics.proof import JudgedShare, judge_share
from pipeline.metrics.rates import asked, grouped_share, percent, share_in_words
from pipeline.plugins import Strict

CHANCE = 0.5  # AUROC of a model that guesses
MOST_NAMED = 3
NO_BAD_PART = (
    "no bad part is known, neither to choose limits by nor to test: nobody knows what escapes"
)
PASSED, FAILED, ATTENTION = CheckState.PASSED, CheckState.FAILED, CheckState.ATTENTION
NOT_PROVEN, NOT_CHECKED = CheckState.NOT_PROVEN, CheckState.NOT_CHECKED


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
        False,
        description="Fail the gate where the validation parts do not prove the promise; false: it "
        "is not proven, which a signer may accept by name.",
    )
    require_max_review: bool = Field(
        False,
        description="Fail the gate where a person sees more than policy.max_review of the good "
        "parts or of all; false: the gate asks for attention.",
    )
    margins: Margins = Field(
        Margins(),
        description="By how much a challenger may be worse than the champion; what the test parts "
        "do not prove to lie within is not proven.",
    )


@dataclass(frozen=True)
class Measured:
    """The test parts as the gate sees them; N each.

    Attributes:
        bad: whether each is really bad, bool.
        verdicts: PASS, FAIL or REVIEW, str.
        groups: what each shares with others.
        auroc: None where it is not defined.
        auroc_ci95: [low, high], by leaving groups out.
    """

    bad: npt.NDArray[np.bool_]
    verdicts: npt.NDArray[np.str_]
    groups: Sequence[str]
    auroc: float | None
    auroc_ci95: Sequence[float] | None


def gate(
    rules: GateRules,
    found: Measured,
    promise: Mapping[str, Any] | None,
    *,
    leak: str | None,
    golden: Golden | None,
    comparison: Comparison,
    max_review: float = MAX_REVIEW,
    doubts: Sequence[str] | None = None,
    commit: str = "",
) -> Gate:
    """Put every condition to what the evaluation found.

    Args:
        rules: what the plant insists on.
        found: the test parts.
        promise: `operating_point.promise`; None for a recipe in which no class passes, which has
            no limits and cannot let a part escape.
        leak: "leaky" where test parts are known from training, "clean" where none is, None where
            nobody has looked.
        golden: the parts that must never be judged wrong; None where the recipe names none.
        comparison: with the champion, run or not.
        max_review: share of good parts and of all that a person may have to see.
        doubts: what speaks against the test data, a sentence each; None where nobody has looked.
        commit: of the code that made model and figures, ending in "-dirty" where the working copy
            differed from it; empty where it is not known.

    Returns:
        Passed only if no check failed and none is not proven.
    """
    return Gate.of(
        (
            *_promised(rules, found, promise),
            _review(rules, found, max_review),
            _ranking(rules, found),
            _leak(rules, leak),
            _data(doubts),
            _commit(commit),
            _golden(golden),
            champion_check(comparison, something_passes=promise is not None),
        )
    )


def _promised(
    rules: GateRules, found: Measured, promise: Mapping[str, Any] | None
) -> Iterator[Check]:
    if promise is None:
        text = "no class of this recipe passes: without limits no part can escape"
        yield Check(name="promise", state=NOT_CHECKED, sentence=text)
        return
    bad, verdicts = found.bad, found.verdicts
    groups = np.asarray(found.groups, dtype=str)
    sure = one_sided(promise)
    for name, kind, verb, among, verdict, limit in (
        ("escapes", "bad", "pass", bad, Verdict.PASS, promise.get("max_escape")),
        ("overkill", "good", "fail", ~bad, Verdict.FAIL, promise.get("max_overkill")),
    ):
        missed, theirs = (verdicts == verdict)[among], groups[among]
        unknown = kind == "bad" and not promise.get("bad_known", True) and not bad.any()
        if limit is None and unknown:
            text, remedy = NO_BAD_PART, "bad test parts would show them"
            yield Check(name=name, state=NOT_PROVEN, sentence=text, remedy=remedy)
        elif limit is None:
            text = share_in_words(grouped_share(missed, theirs), f"{kind} test parts {verb}")
            text += "; no limit was promised"
            yield Check(name=name, state=NOT_CHECKED, sentence=text)
        else:
            check = _held(name, kind, verb, judge_share(missed, theirs, limit, sure), limit, sure)
            yield check.model_copy(update={"sentence": NO_BAD_PART}) if unknown else check
    yield _proven(rules, promise)


def _held(
    name: str, kind: str, verb: str, found: JudgedShare, limit: float, confidence: float
) -> Check:
    """A share of test parts against the promise: the same rule for escapes and overkill."""
    allowed = f"at most {asked(limit)} %"
    if not found.n:
        text = f"the test split has no {kind} part: {name} cannot be measured"
        remedy = f"{found.more_parts} {kind} test parts without a miss would prove {allowed}"
        return Check(name=name, state=NOT_PROVEN, sentence=text, remedy=remedy)
    text = f"{found.k} of {found.n} {kind} test parts {verb} ({percent(found.k / found.n)} %)"
    sure = f"with {asked(confidence)} % confidence"
    remedy = ""
    match found.state:
        case CheckState.FAILED:
            text += (
                f", {sure} at least {percent(found.low)} %: contradicts the promise of {allowed}"
            )
        case CheckState.PASSED:
            text += f", {sure} at most {percent(found.high)} %: keeps the promise of {allowed}"
        case _:
            text += (
                f", {sure} at least {percent(found.low)} % and at most {percent(found.high)} %: "
            )
            text += f"neither proves nor contradicts the promise of {allowed}"
            remedy = _missing(found, f"{kind} test parts", limit)
    return Check(name=name, state=found.state, sentence=text, remedy=remedy)


def _missing(found: JudgedShare, parts: str, limit: float) -> str:
    """What would prove a share, or at least show twice as much, in words."""

    def more(n: int, groups: int) -> str:
        together = groups != n or found.groups != found.n
        return f"{n} more {parts}" + (f" in {_counted(groups, 'more group')}" if together else "")

    if found.more_parts is not None and found.more_groups is not None:
        return f"{more(found.more_parts, found.more_groups)} like these would prove it"
    text = "no number of parts like these would prove it"
    if found.power_parts:
        parts_more = more(found.power_parts, found.power_groups)
        text += f"; {parts_more} would show whether it is twice {asked(limit)} %"
    return text


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _proven(rules: GateRules, promise: Mapping[str, Any]) -> Check:
    """Do the validation parts prove what the limits promise?"""
    if not promise.get("decides", True):
        text = "no limit could be chosen: every part goes to review"
        return Check(name="promise", state=FAILED, sentence=text)
    if promise.get("max_escape") is None and promise.get("max_overkill") is None:
        text = f"the policy promises no share of parts ({promise['said']})"
        return Check(name="promise", state=NOT_CHECKED, sentence=text)
    if promise["supported"]:
        text = f"the validation parts prove {promise['said']}"
        return Check(name="promise", state=PASSED, sentence=text)
    text = f"the validation parts do not prove {promise['said']}"
    if rules.require_supported:
        text += "; require_supported asks for it"
    missing = [
        f"{promise[key]} more {kind} parts"
        for key, kind in (("missing_bad", "bad"), ("missing_good", "good"))
        if promise.get(key)
    ]
    remedy = ""
    if missing:
        remedy = f"{' and '.join(missing)} to train and choose on, like these, would prove it"
    state = FAILED if rules.require_supported else NOT_PROVEN
    return Check(name="promise", state=state, sentence=text, remedy=remedy)


def _review(rules: GateRules, found: Measured, most: float) -> Check:
    """How many parts a person sees: of all, and of the good ones, which need none."""
    seen, groups = found.verdicts == Verdict.REVIEW, np.asarray(found.groups, dtype=str)
    every, good = grouped_share(seen, groups), grouped_share(seen[~found.bad], groups[~found.bad])
    text = f"a person sees {share_in_words(every, 'test parts')}"
    if good.n:
        text += f" and {share_in_words(good, 'good ones')}"
    over = max(every.value or 0.0, good.value or 0.0) > most
    text += f"; max_review is {asked(most)} %"
    beyond = FAILED if rules.require_max_review else ATTENTION
    return Check(name="review", state=beyond if over else PASSED, sentence=text)


def _ranking(rules: GateRules, found: Measured) -> Check:
    if found.auroc is None:
        text = "AUROC is not defined: a class does not occur among the test parts"
        remedy = "test parts of every class would show it"
        return Check(name="ranking", state=NOT_PROVEN, sentence=text, remedy=remedy)
    if found.auroc_ci95 is None:
        text = f"AUROC {found.auroc:.3f} without an interval: too few groups have both answers"
        remedy = "test parts of more groups would show it"
        return Check(name="ranking", state=NOT_PROVEN, sentence=text, remedy=remedy)
    low, high = found.auroc_ci95
    text = f"AUROC {found.auroc:.3f} ({low:.3f} to {high:.3f})"
    if low <= CHANCE:
        text += f": cannot be distinguished from chance, {CHANCE}"
        return Check(name="ranking", state=FAILED, sentence=text)
    text += f": better than chance, {CHANCE}"
    if rules.min_auroc is None:
        return Check(name="ranking", state=PASSED, sentence=text)
    reached = found.auroc >= rules.min_auroc
    text += f"; {'reaches' if reached else 'misses'} min_auroc {rules.min_auroc:.3f}"
    return Check(name="ranking", state=PASSED if reached else FAILED, sentence=text)


def _leak(rules: GateRules, leak: str | None) -> Check:
    if leak is None:
        text = "nobody has looked whether training has seen test parts; check_leaks in ingest.yaml"
        return Check(name="leak", state=NOT_CHECKED, sentence=text)
    if leak == "clean":
        text = "no test part is known from training"
        return Check(name="leak", state=PASSED, sentence=text)
    text = "test parts are known from training, all figures flatter"
    if rules.allow_leaky:
        text += "; allow_leaky lets it pass"
        return Check(name="leak", state=ATTENTION, sentence=text)
    return Check(name="leak", state=FAILED, sentence=f"{text}; make the split by group")


def _data(doubts: Sequence[str] | None) -> Check:
    if doubts is None:
        text = "nobody has looked for wrong labels and unusable images among the test parts"
        return Check(name="data", state=NOT_CHECKED, sentence=text)
    text = "; ".join(doubts) or "no wrong label or unusable image was noticed among the test parts"
    return Check(name="data", state=ATTENTION if doubts else PASSED, sentence=text)


def _commit(commit: str) -> Check:
    if not commit:
        text = "the evaluation was not made in a git repository"
        return Check(name="commit", state=NOT_CHECKED, sentence=text)
    plain = commit.removesuffix("-dirty")
    if plain != commit:
        text = f"code or settings differed from commit {plain[:12]}: nobody can make this model "
        text += "again; commit, then run dvc repro"
        return Check(name="commit", state=ATTENTION, sentence=text)
    text = f"code and settings are those of commit {commit[:12]}"
    return Check(name="commit", state=PASSED, sentence=text)


def _golden(golden: Golden | None) -> Check:
    if golden is None or not golden.n:
        text = "the recipe has no golden.csv: no part is asked for by name"
        return Check(name="golden", state=NOT_CHECKED, sentence=text)
    if not golden.misses:
        text = f"all {golden.n} golden parts judged right"
        if golden.splits.get("train"):
            text += f" ({golden.splits['train']} of them training parts, known to the model)"
        return Check(name="golden", state=PASSED, sentence=text)
    named = [
        f"{miss.sample_id} ({miss.verdict}, wanted {miss.wanted})"
        for miss in golden.misses[:MOST_NAMED]
    ]
    more = len(golden.misses) - len(named)
    text = (
        f"{len(golden.misses)} of {golden.n} golden parts judged wrong: {', '.join(named)}"
        f"{f' and {more} more' if more else ''}; none is allowed"
    )
    return Check(name="golden", state=FAILED, sentence=text)
