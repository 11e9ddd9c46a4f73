"""Averages only where they help."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

from pipeline.training.heads.candidates import Candidate
from pipeline.training.heads.choosing import Ranked, choose, mean_logits
from pipeline.training.heads.objectives import Objective
from pipeline.training.heads.settings import HeadSettings

RNG = np.random.default_rng(0)
N = 600
LABELS = RNG.integers(0, 2, N)
TARGETS = np.eye(2, dtype=np.float32)[LABELS]
FOLDS = np.arange(N) % 5
EVERYONE = np.arange(N)
FIRST, SECOND = Candidate("kernel", 2, 0.1, width=0.5), Candidate("linear", 2, 0.1)
Floats = npt.NDArray[np.float32]


def evidence(noise: npt.NDArray[np.float64]) -> Floats:
    score = 2 * (LABELS - 0.5) + noise
    return np.stack([-score, score], 1).astype(np.float32)


def ranked(logits: Mapping[Candidate, Floats]) -> Ranked:
    return Ranked.of(logits, Objective(HeadSettings(), TARGETS, FOLDS, (True, False)))


def test_heads_that_are_wrong_in_different_places_are_averaged() -> None:
    apart = {c: evidence(2 * RNG.standard_normal(N)) for c in (FIRST, SECOND)}
    choice = choose(ranked(apart), EVERYONE, 4)
    assert set(choice.members) == {FIRST, SECOND}
    mean = mean_logits(choice, apart, EVERYONE)
    loss = -(TARGETS * log_softmax(mean, axis=1)).sum(1).mean()
    assert loss < 0.95 * min(ranked(apart).losses(EVERYONE).values())


def test_a_head_that_only_harms_is_left_out() -> None:
    sure, wrong = evidence(0.2 * RNG.standard_normal(N)), -evidence(0.2 * RNG.standard_normal(N))
    assert choose(ranked({FIRST: sure, SECOND: wrong}), EVERYONE, 4).members == (FIRST,)


def test_one_head_is_taken_where_no_average_is_wanted() -> None:
    apart = {c: evidence(2 * RNG.standard_normal(N)) for c in (FIRST, SECOND)}
    assert len(choose(ranked(apart), EVERYONE, 1).members) == 1


def test_parts_outside_the_rows_do_not_choose() -> None:
    noise = 2 * RNG.standard_normal(N)
    flattered = evidence(noise)
    flattered[300:] = evidence(0 * noise)[300:]
    logits = {FIRST: flattered, SECOND: evidence(0.9 * noise)}
    assert choose(ranked(logits), EVERYONE, 1).members == (FIRST,)
    assert choose(ranked(logits), EVERYONE[:300], 1).members == (SECOND,)
