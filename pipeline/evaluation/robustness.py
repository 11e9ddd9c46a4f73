"""Which change of the line breaks the model first: test parts inspected under each, graded.

Some parts are tried under all; where escapes or overkill come close to what is accepted, more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy.stats import binomtest

from pipeline.contracts.bundle import Bundle
from pipeline.contracts.evaluation import Changed, Robustness, Share
from pipeline.contracts.records import Verdict
from pipeline.evaluation.predictions import run_inspectors
from pipeline.imaging import Pixels
from pipeline.imaging.changes import CHANGES, Change, strength_text
from pipeline.inference.inspector import Inspection, Inspector
from pipeline.metrics import classification as figures
from pipeline.metrics.fragility import AcceptedRates, delicacy, first_break, kinds
from pipeline.metrics.rates import grouped_share
from pipeline.plugins import Strict

Ints = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]
Watch = Callable[[Iterable[list[Inspection]], int], Iterable[list[Inspection]]]
NOTHING_PROMISED = AcceptedRates()
CAUGHT = 0.5  # share of pictures complained of, from which the station notices the change itself


class RobustnessRules(Strict):
    """How hard the model is tried, and what counts as broken."""

    parts: int = Field(
        64,
        ge=0,
        description="Test parts inspected under every change, half of them bad; 0: no "
        "robustness test.",
    )
    most_parts: int = Field(
        256,
        ge=0,
        description="Test parts inspected at most, where escapes or overkill under a change are "
        "close to what is accepted.",
    )
    significance: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="Escapes or overkills count as risen when chance alone explains so many more "
        "with less than this probability (McNemar's exact test, one-sided).",
    )
    max_auroc_fall: float = Field(
        0.05, gt=0, lt=1, description="Fall of AUROC from which the model counts as broken."
    )


@dataclass(frozen=True)
class _Truth:
    labels: Ints
    passing: tuple[bool, ...]
    groups: npt.NDArray[np.str_]

    @property
    def bad(self) -> Bools:
        found: Bools = ~np.array(self.passing)[self.labels]
        return found


@dataclass(frozen=True)
class _PartAnswers:
    """The station's answers for the same N parts, under one change or none."""

    verdicts: npt.NDArray[np.str_]
    probabilities: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float64]
    complained: Bools

    def first(self, n: int) -> _PartAnswers:
        """Those for the first n parts."""
        verdicts, scores = self.verdicts[:n], self.scores[:n]
        return _PartAnswers(verdicts, self.probabilities[:n], scores, self.complained[:n])

    def __add__(self, other: _PartAnswers) -> _PartAnswers:
        """These, then the others'."""
        return _PartAnswers(
            np.concatenate([self.verdicts, other.verdicts]),
            np.concatenate([self.probabilities, other.probabilities]),
            np.concatenate([self.scores, other.scores]),
            np.concatenate([self.complained, other.complained]),
        )

    def named_wrong(self, truth: _Truth) -> Bools:
        wrong: Bools = self.probabilities.argmax(axis=1) != truth.labels
        return wrong

    def escaped(self, truth: _Truth) -> Bools:
        passed: Bools = self.verdicts == Verdict.PASS
        return truth.bad & passed

    def rejected(self, truth: _Truth) -> Bools:
        failed: Bools = self.verdicts == Verdict.FAIL
        return ~truth.bad & failed

    def auroc(self, truth: _Truth) -> float:
        if any(truth.passing):
            return figures.auroc(truth.bad[:, None], self.scores[:, None])
        return figures.auroc(*figures.questions(truth.labels, self.probabilities, truth.passing))


def run(
    bundle: Bundle,
    frame: Callable[[int], Pixels],
    labels: Ints,
    groups: Sequence[str],
    rules: RobustnessRules,
    accepted: AcceptedRates = NOTHING_PROMISED,
    watch: Watch = lambda inspected, total: inspected,
) -> Robustness | None:
    """Inspect a sample of the test parts as they are and under every change.

    Args:
        bundle: sealed, with its limits.
        frame: gives the camera's frame of test part i, uint8 H,W,3 RGB; called from threads.
        labels: class of each of the N test parts, as a position in the taxonomy.
        groups: of each, so that the sample is spread over them.
        rules: how many parts, and what counts as broken.
        accepted: escapes and overkill that the plant accepts.
        watch: is given the inspections to come, a list a part, and their number; passes them on.

    Returns:
        The changes by the harm that they do, the worst first (`metrics.fragility`). A change that
        the station notices itself, so that nothing passes unseen, is not broken but caught. None
        without any part.
    """
    passing = bundle.taxonomy.passing
    rows = sample(labels, groups, passing, rules.parts)
    if not len(rows):
        return None
    n, named = len(rows), np.asarray(groups, dtype=str)
    steps = [(change, strength) for change in CHANGES for strength in change.strengths]
    before, *after = _inspect(bundle, frame, rows, steps, watch)

    def judged() -> list[tuple[Changed, Changed]]:
        """Each step, and the same parts unchanged."""
        truth = _Truth(labels[rows], passing, named[rows])
        return [
            _judge(change, strength, before, answers, truth, rules, accepted)
            for (change, strength), answers in zip(steps, after, strict=True)
        ]

    found = judged()
    while len(rows) < min(rules.most_parts, len(labels)) and (close := _close(found, accepted)):
        wanted = sample(labels, groups, passing, min(2 * len(rows), rules.most_parts))
        more = np.setdiff1d(wanted, rows)
        chosen = [steps[i] for i in close]
        unchanged, *added = _inspect(bundle, frame, more, chosen, watch)
        rows, before = np.concatenate([rows, more]), before + unchanged
        for i, answers in zip(close, added, strict=True):
            after[i] += answers
        found = judged()
    truth = _Truth(labels[rows], passing, named[rows])
    unchanged_step = _changed("unchanged", 0.0, "", before, truth)
    ladders = _ladders([step for step, _ in found])
    ladders.sort(key=lambda ladder: delicacy(ladder, unchanged_step, accepted))
    return Robustness(
        n=n,
        unchanged=unchanged_step,
        changes=tuple(step for ladder in ladders for step in ladder),
        first_to_break=_first_to_break(ladders, unchanged_step, accepted),
        caught=_caught(ladders),
    )


def _close(found: Sequence[tuple[Changed, Changed]], accepted: AcceptedRates) -> list[int]:
    """The steps that more parts may decide, of those that were tried on all parts so far."""
    most = max(step.accuracy.n for step, _ in found)
    return [
        i
        for i, (step, same) in enumerate(found)
        if step.accuracy.n == most and any(kind.close for kind in kinds(step, same, accepted))
    ]


def sample(labels: Ints, groups: Sequence[str], passing: tuple[bool, ...], most: int) -> Ints:
    """Choose parts, half of them bad, from as many classes and groups as there are.

    Args:
        labels: class of each of N parts.
        groups: group of each.
        passing: for each class, is a part of it good?
        most: how many are wanted; where one side has too few, the other fills up.

    Returns:
        Positions in ascending order, the same for the same parts.
    """
    bad = ~np.array(passing)[labels]
    shuffled = np.random.default_rng(0).permutation(len(labels))
    # One of each class and group, then a second of each, and so on.
    turn = np.zeros(len(labels), np.intp)
    taken: dict[tuple[int, str], int] = {}
    for i in shuffled:
        cell = (int(labels[i]), groups[i])
        turn[i] = taken[cell] = taken.get(cell, -1) + 1
    order = shuffled[np.argsort(turn[shuffled], kind="stable")]
    n_bad = max(most // 2, most - int((~bad).sum()))
    chosen = order[bad[order]][:n_bad]
    return np.sort(np.concatenate([chosen, order[~bad[order]][: most - len(chosen)]]))


def _inspect(
    bundle: Bundle,
    frame: Callable[[int], Pixels],
    rows: Ints,
    steps: Sequence[tuple[Change, float]],
    watch: Watch,
) -> list[_PartAnswers]:
    """Answers for the parts as they are, then for each step."""

    def inspect_changed(inspector: Inspector, row: int) -> list[Inspection]:
        taken = frame(row)
        frames = [taken, *(change(taken, strength, seed=row) for change, strength in steps)]
        return [inspector.inspect(changed) for changed in frames]

    parts = list(watch(run_inspectors(bundle, rows, inspect_changed), len(rows)))
    return [
        _PartAnswers(
            verdicts=np.array([i.decision.verdict for i in inspections]),
            probabilities=np.stack([i.probabilities for i in inspections]),
            scores=np.array([i.defect_score for i in inspections]),
            complained=np.array([i.complained for i in inspections]),
        )
        for inspections in zip(*parts, strict=True)
    ]


def _judge(
    change: Change,
    strength: float,
    before: _PartAnswers,
    after: _PartAnswers,
    truth: _Truth,
    rules: RobustnessRules,
    accepted: AcceptedRates,
) -> tuple[Changed, Changed]:
    """A step on the parts that it was tried on, and the same parts unchanged."""
    n = len(after.verdicts)
    before, truth = before.first(n), _Truth(truth.labels[:n], truth.passing, truth.groups[:n])
    same = _changed("unchanged", 0.0, "", before, truth)
    step = _changed(change.name, strength, change.unit, after, truth)
    broken = _broken(step, same, before, after, truth, rules, accepted)
    return step.model_copy(update={"broken": broken}), same


def _changed(
    name: str, strength: float, unit: str, answers: _PartAnswers, truth: _Truth
) -> Changed:
    auroc, bad, every = answers.auroc(truth), truth.bad, np.ones(len(truth.labels), bool)

    def of(which: Bools, among: Bools) -> Share:
        return grouped_share(which[among], truth.groups[among])

    return Changed(
        change=name,
        strength=strength,
        unit=unit,
        auroc=auroc if np.isfinite(auroc) else None,
        accuracy=of(~answers.named_wrong(truth), every),
        escape=of(answers.escaped(truth), bad),
        overkill=of(answers.rejected(truth), ~bad),
        review=of(answers.verdicts == Verdict.REVIEW, every),
        complained=of(answers.complained, every),
    )


def _broken(
    step: Changed,
    same: Changed,
    before: _PartAnswers,
    after: _PartAnswers,
    truth: _Truth,
    rules: RobustnessRules,
    accepted: AcceptedRates,
) -> str:
    """Why the model counts as broken, in words; empty where it does not.

    The test is not corrected for the number of changes tried and takes parts of a group as
    independent: a false alarm costs a look at the line, a break that is explained away costs
    escapes.
    """

    def risen(then: Bools, now: Bools) -> bool:
        worse, better = int((now & ~then).sum()), int((then & ~now).sum())
        if not worse:
            return False
        test = binomtest(worse, worse + better, alternative="greater")
        return bool(test.pvalue < rules.significance)

    misses = (
        (before.escaped(truth), after.escaped(truth)),
        (before.rejected(truth), after.rejected(truth)),
    )
    beyond = [
        kind
        for kind, (then, now) in zip(kinds(step, same, accepted), misses, strict=True)
        if kind.exceeded and risen(then, now)
    ]
    if beyond:
        return max(beyond, key=lambda kind: kind.harm).sentence()
    if after.complained.mean() >= CAUGHT:
        return ""  # whatever the scores are worth now, nothing passes by them
    auroc = before.auroc(truth), after.auroc(truth)
    if auroc[0] - auroc[1] > rules.max_auroc_fall:
        return f"AUROC is {auroc[1]:.3f}, unchanged {auroc[0]:.3f}"
    then, now = before.named_wrong(truth), after.named_wrong(truth)
    if not any(truth.passing) and risen(then, now):  # there, escapes show nothing
        return f"{now.sum()} of {len(now)} parts are named wrongly, unchanged {then.sum()}"
    return ""


def _ladders(found: Sequence[Changed]) -> list[list[Changed]]:
    """The steps of each change, from mild to strong."""
    steps = iter(found)
    return [[next(steps) for _ in change.strengths] for change in CHANGES]


def _first_to_break(
    ladders: Sequence[Sequence[Changed]], unchanged: Changed, accepted: AcceptedRates
) -> str:
    breaks = [first_break(ladder, unchanged, accepted) for ladder in ladders]
    at = next((step for step in breaks if step is not None), None)
    if at is None:
        return ""
    return f"{at.change} breaks it first: at {strength_text(at.change, at.strength)} {at.broken}"


def _caught(ladders: Sequence[Sequence[Changed]]) -> str:
    found = []
    for ladder in ladders:
        whole = (s for s in ladder if not s.broken)
        at = next((step for step in whole if (step.complained.value or 0) >= CAUGHT), None)
        if at is not None:
            share = f"{at.complained.k} of {at.complained.n} pictures"
            found.append(f"{strength_text(at.change, at.strength)} ({share})")
    return f"the station notices by itself: {', '.join(found)}" if found else ""
