"""Two limits on the defect score, chosen on validation parts by the plant's policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from pipeline.contracts.bundle import OperatingPoint
from pipeline.errors import DataError
from pipeline.metrics import clustering
from pipeline.metrics.choice import ABOVE_ALL, Choice, Parts, ReviewLimit, counted
from pipeline.metrics.conformal import Conformal, choose_conformal, choose_from_good
from pipeline.metrics.costs import Cost, choose_cost
from pipeline.metrics.promises import (
    MaxEscape,
    MaxOverkill,
    choose_max_escape,
    choose_max_overkill,
    choose_pass_limit,
    one_sided,
)
from pipeline.metrics.rates import asked, samples_needed

__all__ = ["ABOVE_ALL", "Choice", "FixedLimits", "Policy", "choose", "nothing_passes", "promise"]


class FixedLimits(ReviewLimit):
    """Limits that were fixed beforehand."""

    type: Literal["fixed"] = Field(description="The limits as given.")
    pass_below: float = Field(ge=0, le=ABOVE_ALL, description="Scores below it pass.")
    fail_from: float = Field(
        ge=0, le=ABOVE_ALL, description="Scores from it fail; above 1: none fails."
    )

    @model_validator(mode="after")
    def _in_order(self) -> FixedLimits:
        if self.fail_from < self.pass_below:
            raise ValueError(f"fail_from {self.fail_from} is below pass_below {self.pass_below}")
        return self


Policy = Annotated[
    MaxEscape | MaxOverkill | Cost | FixedLimits | Conformal,
    Field(discriminator="type"),
]


def nothing_passes() -> Choice:
    """The limits of a recipe whose every class is bad: all parts fail, none can escape."""
    sentence = "no class of this recipe passes: every part is judged bad, none can escape"
    return Choice(OperatingPoint(pass_below=0.0, fail_from=0.0), True, (sentence,))


def choose(
    policy: MaxEscape | MaxOverkill | Cost | FixedLimits | Conformal,
    scores: npt.NDArray[np.floating],
    bad: npt.NDArray[np.bool_],
    groups: Sequence[str] | None = None,
    *,
    from_good: bool = False,
) -> Choice:
    """Choose the limits that the policy asks for.

    Args:
        policy: what the plant can accept.
        scores: defect score of each validation part, 0 to 1; float N.
        bad: whether each part is really bad; bool N.
        groups: what each part shares with others (module, shot, batch). Given, no promise counts
            parts of one group as independent; left out, all parts are taken for independent.
        from_good: where bad parts are missing, or too few to prove a share of escapes, the limits
            come from the good ones, as `conformal.choose_from_good` has them: for a model that has
            learned from good parts alone.

    Returns:
        The limits. Without a bad part everything goes to review, without a good one everything
        that does not pass; limits that are given stay as given.

    Raises:
        DataError: lengths differ, or a score is not a number from 0 to 1.
    """
    parts = _parts(scores, bad, groups)
    if from_good and not parts.bad.all() and not isinstance(policy, Cost | FixedLimits):
        return _from_good(policy, parts)
    return _choose(policy, parts)


def _from_good(policy: MaxEscape | MaxOverkill | Conformal, parts: Parts) -> Choice:
    """The policy's limits where bad parts prove its escapes, else those of the good parts."""
    limit = getattr(policy, "max_escape", None)
    choice = _choose(policy, parts) if parts.bad.any() else None
    if choice is not None and (limit is None or not choice.missing_bad):
        return choice
    _, good = parts
    one_limit = isinstance(policy, MaxOverkill)
    found = choose_from_good(good, policy.max_overkill, policy.max_review, one_limit=one_limit)
    if choice is not None:
        pass_below = min(found.point.pass_below, choice.point.pass_below)
        point = found.point.model_copy(update={"pass_below": pass_below})
        sentences = dict.fromkeys((*choice.sentences, *found.sentences))
        return replace(choice, point=point, sentences=tuple(sentences))
    missing = 0
    if isinstance(policy, MaxEscape):
        missing = samples_needed(policy.max_escape, one_sided(policy.model_dump()))
    elif isinstance(policy, Conformal):
        missing = int(np.ceil(1 / policy.max_escape - 1 - 1e-9))
    text = "escapes are not proven: no bad part is known"
    return replace(
        found,
        proven=False,
        sentences=(text, *found.sentences),
        missing_bad=missing,
        bad_known=False,
    )


def _choose(
    policy: MaxEscape | MaxOverkill | Cost | FixedLimits | Conformal, parts: Parts
) -> Choice:
    for name, there in (("bad", parts.bad), ("good", ~parts.bad)):
        if not there.any():
            return _without(name, policy, parts)
    match policy:
        case MaxEscape():
            return choose_max_escape(policy, parts)
        case MaxOverkill():
            return choose_max_overkill(policy, parts)
        case Cost():
            return choose_cost(policy, parts)
        case Conformal():
            return choose_conformal(policy, parts)
        case FixedLimits():
            point = OperatingPoint(pass_below=policy.pass_below, fail_from=policy.fail_from)
            return Choice(point, True, (f"the limits are given: {counted(parts, point)}",))


def promise(
    policy: MaxEscape | MaxOverkill | Cost | FixedLimits | Conformal, choice: Choice
) -> dict[str, Any]:
    """What is promised, for evaluation.json: the policy's keys, `policy` and `supported`.

    `max_escape`, `max_overkill`, `confidence` and `confidence_for` stand only where the policy has
    them, `missing_bad` and `missing_good` where so many parts more would prove it, and `bad_known`
    is false where no bad part was there to choose by; `said` is all of it in words.
    """
    given = policy.model_dump()
    shares = [
        f"{asked(given[key])} % {word}"
        for key, word in (("max_escape", "escapes"), ("max_overkill", "overkill"))
        if key in given
    ]
    how = " on average"
    if "confidence" in given:
        together = {"each": ", each", "both": ", both together"}
        which = together.get(given.get("confidence_for", ""), "")
        how = f"{which} at {asked(given['confidence'])} % confidence"
    text = {"cost": "the least cost a part", "fixed": "limits as given"}.get(
        policy.type, f"at most {' and '.join(shares)}{how}"
    )
    given["policy"] = given.pop("type")
    missing = {
        key: n
        for key, n in (("missing_bad", choice.missing_bad), ("missing_good", choice.missing_good))
        if n
    }
    if not choice.bad_known:
        given["bad_known"] = False
    return given | missing | {"supported": choice.proven, "said": text}


def _without(
    name: str, policy: MaxEscape | MaxOverkill | Cost | FixedLimits | Conformal, parts: Parts
) -> Choice:
    """Limits where validation has no bad or no good part."""
    text = f"validation has no {name} part: "
    if isinstance(policy, FixedLimits):
        point = OperatingPoint(pass_below=policy.pass_below, fail_from=policy.fail_from)
        missed = "escapes" if name == "bad" else "overkill"
        text += f"nothing is known about {missed} at the limits that are given"
        return Choice(point, False, (text,))
    if name == "good" and isinstance(policy, MaxEscape):
        bad, _ = parts
        choice = choose_pass_limit(policy, bad)
        text += "no fail limit can be chosen, what does not pass goes to review"
        return Choice(
            choice.point,
            False,
            (*choice.sentences, text),
            missing_bad=choice.missing_bad,
            missing_good=samples_needed(policy.max_overkill, one_sided(policy.model_dump())),
        )
    text += "no limit can be chosen, every part goes to review"
    return Choice(OperatingPoint(pass_below=0.0, fail_from=ABOVE_ALL), False, (text,))


def _parts(
    scores: npt.NDArray[np.floating],
    bad: npt.NDArray[np.bool_],
    groups: Sequence[str] | None,
) -> Parts:
    if len(scores) != len(bad) or (groups is not None and len(groups) != len(bad)):
        named = "" if groups is None else f" and {len(groups)} groups"
        raise DataError(
            f"{len(scores)} scores for {len(bad)} labels{named}: a part has one of each"
        )
    wrong = np.flatnonzero(~((scores >= 0) & (scores <= 1)))
    if len(wrong):
        raise DataError(
            f"{len(wrong)} of {len(scores)} defect scores are not between 0 and 1 (the first is "
            f"{scores[wrong[0]]} of part {wrong[0]}): the network gives no usable answer; train "
            "again"
        )
    known = None if groups is None or not len(groups) else clustering.codes(groups)
    return Parts(np.asarray(scores, np.float64), np.asarray(bad, bool), known)
