"""The search for a head: by grouped out-of-fold scores, most of it on some of the folds.

Successive halving (Jamieson and Talwalkar, AISTATS 2016): all candidates are compared on two folds,
the better ones on all; then what lies beyond the best, where it is at the edge of its range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
from scipy.special import log_softmax, softmax

from pipeline.training import Floats
from pipeline.training.heads.calibration import temperature
from pipeline.training.heads.candidates import Candidate, edges, neighbours, offered
from pipeline.training.heads.choosing import Ranked, choose, mean_logits
from pipeline.training.heads.fitting import HeadChoice
from pipeline.training.heads.objectives import Objective, overall
from pipeline.training.heads.out_of_fold import Folds

FIRST_FOLDS = 2
FEWEST_PARTS = 500  # of fewer, two folds show too little, and all do not take long
KEPT_SPACES = 2  # of each kind, so many sets of numbers to fit on go on,
KEPT_OF_SPACE = 4  # and of each so many heads
BEYOND = 3  # times that the neighbours of the best are tried


@dataclass(frozen=True)
class HeadSearchResult:
    """What the search found.

    Attributes:
        logits: float32 N,K of the parts, out of fold. Each fold's are by what the *other* folds'
            parts chose, so that the choice does not flatter them.
        choice: by all parts.
        log_loss: of the parts by `logits` at their best temperature, in nats a part.
        losses: of every candidate that was compared on all parts, the least first; of what
            `objective` names.
        objective: what was wanted.
        nested: that of `logits`, where one head was taken and where several were averaged.
        edges: settings whose best value is the last that was tried, in words.
        compared: how many candidates there were.
    """

    logits: Floats
    choice: HeadChoice
    log_loss: float
    losses: dict[Candidate, float]
    objective: str
    nested: dict[int, float] = field(default_factory=dict)
    edges: list[str] = field(default_factory=list)
    compared: int = 1

    @property
    def runner_up(self) -> Candidate | None:
        """The best that was not taken."""
        rest = (c for c in self.losses if c not in self.choice.members)
        return next(rest, None)

    @property
    def alone(self) -> HeadChoice:
        """The best kernel; where there is none, the best head."""
        best = min(self.losses, key=lambda c: (c.kind != "kernel", self.losses[c]))
        return HeadChoice((best,), (1.0,))

    def lines(self) -> list[str]:
        """For people."""
        wanted = self.objective.replace("_", " ")
        members = " + ".join(map(str, self.choice.members))
        several = len(self.choice.members) > 1
        line = f"head: {'mean of ' * several}{members}, of {self.compared} compared out of fold by "
        line += f"{wanted}; log loss {self.log_loss:.4f}"
        name = wanted if self.objective == "log_loss" else f"1 - {wanted}"
        if len(self.nested) > 1:
            one, mean = (self.nested[most] for most in sorted(self.nested))
            line += f"; {name} of one head {one:.4f}, of a mean {mean:.4f}, nested"
        if self.runner_up is not None:
            line += f"; runner-up {self.runner_up}, {name} {self.losses[self.runner_up]:.4f}"
            best = next(iter(self.losses))
            line += f", the best alone {best}, {self.losses[best]:.4f}" * several
        return [line, *(f"head: {edge}" for edge in self.edges)]

    def params(self) -> dict[str, str]:
        """For an MLflow run."""
        found = {
            "head": " + ".join(map(str, self.choice.members)),
            "head.compared_by": self.objective,
        }
        up = self.runner_up
        return found if up is None else {**found, "head.runner_up": str(up)}

    def facts(self) -> dict[str, Any]:
        """For report.json."""
        listed = [
            {**c.facts, "temperature": t, "oof_loss": self.losses[c]}
            for c, t in zip(self.choice.members, self.choice.temperatures, strict=True)
        ]
        up = self.runner_up
        return {
            "objective": self.objective,
            "members": listed,
            "compared": self.compared,
            "nested": {str(most): loss for most, loss in self.nested.items()},
            "runner_up": None if up is None else {**up.facts, "oof_loss": self.losses[up]},
            "edges": self.edges,
        }


def search(of_parts: Folds, passing: Sequence[bool]) -> HeadSearchResult:
    """Choose a head by parts whose group it has not seen; of few shots there is no choice.

    Several heads are averaged where their mean beats the best alone in scores that neither choice
    has seen.

    Args:
        of_parts: the parts, in folds, and the settings.
        passing: of each class, whether its parts are good.

    Returns:
        The choice, and scores of each part that it did not influence. What was dropped after the
        first two folds, and whether to average, those parts have chosen too: a little flattery is
        left.

    Raises:
        TrainingError: as of `Folds.judge` and `Objective`.
    """
    folds, config, truth = of_parts.folds, of_parts.config, of_parts.truth
    everyone = np.arange(len(folds))
    objective = Objective(config, truth, folds, passing)
    candidates = offered(config, truth)
    tried = set(candidates)
    logits = _halved(of_parts, candidates, objective)
    ranked = Ranked.of(logits, objective)
    for _ in range(BEYOND):
        firsts = {c.kind: c for c in reversed(ranked.losses(everyone))}
        more = [c for best in firsts.values() for c in neighbours(best, tried, config, truth)]
        if not more:
            break
        tried |= set(more)
        judged = of_parts.judge(more, range(of_parts.n))
        new = {c: of_parts.together(by_fold) for c, by_fold in judged.items()}
        logits, ranked = logits | new, ranked.joined(Ranked.of(new, objective))
    found = {}
    for most in sorted({1, config.average}) if len(tried) > 1 else [1]:
        nested = np.empty_like(truth)
        for fold in range(of_parts.n):
            own, others = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
            nested[own] = mean_logits(choose(ranked, others, most), logits, own)
        calibrated = log_softmax(nested / np.float32(temperature(nested, truth)), axis=1)
        found[most] = nested, overall(objective(calibrated, everyone)), calibrated
    most = min(found, key=lambda m: found[m][1])
    nested, _, calibrated = found[most]
    choice = choose(ranked, everyone, most)
    return HeadSearchResult(
        logits=nested,
        choice=choice,
        log_loss=float(-(truth * calibrated).sum(axis=1).mean()),
        losses=ranked.losses(everyone),
        objective=config.objective,
        nested={most: loss for most, (_, loss, _) in found.items()},
        edges=edges(choice.members[0], tried, config) if len(tried) > 1 else [],
        compared=len(tried),
    )


def by_fold_heads(of_parts: Folds, choice: HeadChoice, features: Floats, factor: float) -> Floats:
    """Probabilities float32 n,M,K of M other images, by heads that knew all parts but a fold's.

    Args:
        of_parts: the parts that were searched on, in n folds.
        choice: what was chosen.
        features: float32 M,D; M may be 0.
        factor: temperature of the choice.

    Raises:
        TrainingError: as of `Folds.judge`.
    """
    if not len(features):
        return np.empty((of_parts.n, 0, of_parts.truth.shape[1]), np.float32)
    rows = np.arange(len(features))
    by_fold = of_parts.ask(list(dict.fromkeys(choice.members)), features)
    logits = np.stack([mean_logits(choice, found, rows) for found in by_fold])
    probabilities: Floats = softmax(logits / np.float32(factor), axis=2)
    return probabilities


def _halved(
    of_parts: Folds, candidates: list[Candidate], objective: Objective
) -> dict[Candidate, Floats]:
    """Logits of all parts, by the candidates that are worth it."""
    folds = of_parts.folds
    if len(folds) < FEWEST_PARTS or of_parts.n <= FIRST_FOLDS:
        judged = of_parts.judge(candidates, range(of_parts.n))
        return {c: of_parts.together(by_fold) for c, by_fold in judged.items()}
    first = of_parts.judge(candidates, range(FIRST_FOLDS))
    seen = np.flatnonzero(folds < FIRST_FOLDS)
    looked = {c: of_parts.together(by_fold) for c, by_fold in first.items()}
    kept = _worth_it(list(Ranked.of(looked, objective).losses(seen)))
    rest = of_parts.judge(kept, range(FIRST_FOLDS, of_parts.n))
    return {c: of_parts.together(first[c] | rest[c]) for c in kept}


def _worth_it(order: Sequence[Candidate]) -> list[Candidate]:
    """Of all, the best first: the best heads in the best spaces of each kind."""
    kept = []
    for _, of_kind in groupby(sorted(order, key=lambda c: c.kind), key=lambda c: c.kind):
        spaces: dict[Candidate, list[Candidate]] = {}
        for candidate in of_kind:
            spaces.setdefault(candidate.space, []).append(candidate)
        for listed in list(spaces.values())[:KEPT_SPACES]:
            kept += listed[:KEPT_OF_SPACE]
    return kept
