"""Review share against promise, and which lever moves it most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from pipeline.contracts.bundle import OperatingPoint
from pipeline.contracts.review import Lever, LimitGroup, PromiseStep, ReviewOutlook
from pipeline.contracts.shares import Share
from pipeline.metrics.conformal import Conformal
from pipeline.metrics.operating_point import Choice, Policy, choose
from pipeline.metrics.promises import MaxEscape
from pipeline.metrics.rates import asked, grouped_share, percent

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Promising = MaxEscape | Conformal

FOLDS = (0.2, 0.5, 1.0, 2.0)  # of the promise that the policy makes
MOST_ESCAPES = 0.5
BETTER = 0.75  # of the misranked pairs are left where the ranking is better
MOST_SHIFT = 20.0  # on the logit scale
NEAREST = 10  # groups tried of each kind of part
WORTH_NAMING = 0.02  # of all parts, by which review falls without a group
NAMES = {"ranking": "a better ranking", "groups": "more groups", "labels": "better labels"}


@dataclass(frozen=True)
class ScoredParts:
    """Parts that limits are chosen on; N each.

    Attributes:
        scores: defect scores, 0 to 1.
        bad: whether each is really bad.
        groups: name of the group of each.
        doubted: whether its label is probably wrong.
        from_good: limits come from good parts where bad ones are missing (`choose`).
    """

    scores: Floats
    bad: Bools
    groups: npt.NDArray[np.str_]
    doubted: Bools
    from_good: bool = False

    def only(self, kept: Bools) -> ScoredParts:
        """Some of the parts."""
        return replace(
            self,
            scores=self.scores[kept],
            bad=self.bad[kept],
            groups=self.groups[kept],
            doubted=self.doubted[kept],
        )

    def chosen(self, policy: Policy) -> Choice:
        """The policy's limits by these parts."""
        groups = self.groups.tolist()
        return choose(policy, self.scores, self.bad, groups, from_good=self.from_good)

    def reviewed(self, point: OperatingPoint) -> Bools:
        """Which of them go to a person."""
        return (self.scores >= point.pass_below) & (self.scores < point.fail_from)


def outlook(policy: Promising, parts: ScoredParts) -> ReviewOutlook | None:
    """What review depends on; None where parts of either kind are missing.

    Args:
        policy: two promised shares.
        parts: out-of-fold and validation parts.
    """
    if parts.bad.all() or not parts.bad.any():
        return None
    point = parts.chosen(policy).point
    now = _share(parts, point)
    steps = tuple(_step(policy, parts, fold * policy.max_escape) for fold in FOLDS)
    steps = tuple(step for step in steps if step.max_escape <= MOST_ESCAPES)
    levers = tuple(sorted(_levers(policy, parts), key=lambda lever: lever.review))
    group = limit_group(policy, parts, point)
    return ReviewOutlook(
        n=len(parts.bad),
        now=now,
        steps=steps,
        levers=levers,
        limit_group=group,
        against_promise=_against_promise(policy, steps, len(parts.bad)),
        moved_by=_moved_by(now.value or 0.0, levers),
    )


def limit_group(policy: Promising, parts: ScoredParts, point: OperatingPoint) -> LimitGroup | None:
    """The group without which review falls most, if it falls by `WORTH_NAMING` or more.

    Only groups of which the limits miss parts, or nearly, can hold a limit back; those with most of
    them are tried, each by choosing again on all others. Both shares are of all parts.
    """
    review = float(parts.reviewed(point).mean())
    best, least = None, review - WORTH_NAMING
    for name in _candidates(parts, point):
        inside = parts.groups == name
        others = parts.only(~inside)
        if others.bad.all() or not others.bad.any():
            continue
        without = others.chosen(policy).point
        share = float(parts.reviewed(without).mean())
        if share <= least:
            best, least = (name, inside, without), share
    if best is None:
        return None
    name, inside, without = best
    text = (
        f"the limits are set by group {name}: chosen without it they leave "
        f"{percent(least)} % to a person instead of {percent(review)} %"
        f" ({_misjudged(parts.only(inside), without)}): look at its labels"
    )
    return LimitGroup(group=name, review=least, sentence=text)


def _candidates(parts: ScoredParts, point: OperatingPoint) -> list[str]:
    """Groups with most parts among those that are missed, or would be next."""
    names: dict[str, None] = {}
    for scores, among, limit in (
        (parts.scores, parts.bad, point.pass_below),
        (-parts.scores, ~parts.bad, -point.fail_from),
    ):
        order = np.flatnonzero(among)[np.argsort(scores[among], kind="stable")]
        missed = int((scores[among] < limit).sum())
        found, counts = np.unique(parts.groups[order[: 2 * missed + 1]], return_counts=True)
        names |= dict.fromkeys(found[np.argsort(-counts, kind="stable")][:NEAREST].tolist())
    return list(names)


def _misjudged(group: ScoredParts, point: OperatingPoint) -> str:
    """`45 of its 54 good parts would fail and 0 of its 6 bad ones pass`."""
    bad, good = group.scores[group.bad], group.scores[~group.bad]
    found = []
    if len(good):
        found.append(f"{int((good >= point.fail_from).sum())} of its {len(good)} good parts fail")
    if len(bad):
        found.append(f"{int((bad < point.pass_below).sum())} of its {len(bad)} bad parts pass")
    return f"by them {' and '.join(found)}"


def _share(parts: ScoredParts, point: OperatingPoint) -> Share:
    return grouped_share(parts.reviewed(point), parts.groups)


def _step(policy: Promising, parts: ScoredParts, max_escape: float) -> PromiseStep:
    choice = parts.chosen(policy.model_copy(update={"max_escape": max_escape}))
    return PromiseStep(
        max_escape=max_escape, proven=choice.proven, review=_share(parts, choice.point)
    )


def _levers(policy: Promising, parts: ScoredParts) -> Iterator[Lever]:
    def lever(name: str, change: str, changed: ScoredParts, judged: ScoredParts) -> Lever:
        review = judged.reviewed(changed.chosen(policy).point).mean()
        return Lever.model_validate({"name": name, "change": change, "review": float(review)})

    better = _better_ranked(parts)
    if better is not None:
        change = "a quarter fewer pairs of a good and a bad part in the wrong order"
        yield lever("ranking", change, better, better)
    names = [np.char.add(parts.groups, which) for which in (" once", " again")]
    twice = replace(
        parts,
        scores=np.tile(parts.scores, 2),
        bad=np.tile(parts.bad, 2),
        groups=np.concatenate(names),
        doubted=np.tile(parts.doubted, 2),
    )
    yield lever("groups", "twice as many groups like these", twice, parts)
    known = parts.only(~parts.doubted)
    n = int(parts.doubted.sum())
    if n and known.bad.any() and not known.bad.all():
        change = f"the {n} labels that model and texture contradict left out"
        yield lever("labels", change, known, parts)


def _better_ranked(parts: ScoredParts) -> ScoredParts | None:
    """The same parts with bad ones moved up until `BETTER` of the misranked pairs are left."""
    at = logit(np.clip(parts.scores, 1e-9, 1 - 1e-9))

    def moved(shift: float) -> Floats:
        return np.asarray(expit(at + shift * parts.bad), np.float64)

    def wrong(shift: float) -> float:
        return 1 - float(roc_auc_score(parts.bad, moved(shift)))

    now = wrong(0.0)
    if not now or wrong(MOST_SHIFT) > BETTER * now:
        return None
    shift = float(brentq(lambda s: wrong(s) - BETTER * now, 0.0, MOST_SHIFT, xtol=1e-3))
    return replace(parts, scores=moved(shift))


def _against_promise(policy: Promising, steps: Sequence[PromiseStep], n: int) -> str:
    listed = "; ".join(
        f"at {asked(step.max_escape)} % escapes {percent(step.review.value or 0.0)} % go to a "
        f"person ({percent(step.review.low or 0.0)} to {percent(step.review.high or 0.0)} %"
        f"{'' if step.proven else ', not proven'})"
        for step in steps
    )
    sure = f" at {asked(policy.confidence)} % confidence" if isinstance(policy, MaxEscape) else ""
    return (
        f"review against promise, with {asked(policy.max_overkill)} % overkill{sure}, on {n} "
        f"out-of-fold and validation parts: {listed}"
    )


def _moved_by(now: float, levers: Sequence[Lever]) -> str:
    if not levers or levers[0].review >= now:
        return ""
    listed = "; ".join(f"{lever.change}: {percent(lever.review)} %" for lever in levers)
    best = NAMES[levers[0].name]
    return f"what lowers review most here is {best} (now {percent(now)} %; {listed})"
