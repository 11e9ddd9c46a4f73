"""Challenger against champion on the same test parts: which is better, if the parts show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.contracts.evaluation import LESS_IS_BETTER, Comparison, Difference
from pipeline.contracts.records import Verdict
from pipeline.errors import DataError
from pipeline.metrics import clustering
from pipeline.metrics.champion.noninferiority import Uncertainty, interval, judge_margins, spread
from pipeline.metrics.rates import percent

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating]

# Draws of the bootstrap that are worked on at once hold about this many weights: some 30 MB.
AT_ONCE = 4_000_000
WORDS = {
    "escape_rate": "escapes",
    "overkill_rate": "overkill",
    "review_rate": "review",
    "accuracy": "accuracy",
    "auroc": "AUROC",
}
SHARES = ("escape_rate", "overkill_rate", "review_rate", "accuracy")


@dataclass(frozen=True)
class Answers:
    """Predictions of one model for the test parts.

    Attributes:
        right: its most probable class is the label; bool N.
        verdicts: PASS, FAIL or REVIEW by its own limits; str N.
        scores: of the questions that AUROC is about (`classification.questions`); float N,Q.
    """

    right: Bools
    verdicts: npt.NDArray[np.str_]
    scores: Floats


def not_compared(champion: str, why: str) -> Comparison:
    """There is no champion (an empty name), or it could not be run."""
    return Comparison(champion=champion, not_run=why)


def compare(
    champion: str,
    before: Answers,
    after: Answers,
    bad: Bools,
    truth: Bools,
    groups: Sequence[str],
    *,
    margins: Mapping[str, float] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compare the challenger (`after`) with the champion (`before`).

    Which of two classifiers is right more often: McNemar's exact test on the parts where just one
    of them is (Dietterich, Neural Computation 10, 1998), by groups (`clustering.paired_p`). Each
    figure's difference: the standard error of a bootstrap that draws whole groups and
    keeps the two answers on a part together (Field and Welsh, JRSS B 69, 2007), by Student's t with
    the degrees of freedom of so many groups. In simulations (9 to 100 groups, correlation of scores
    0.05 to 0.5) these 95 % intervals held in 94 to 100 of 100 draws, percentiles in 70 to 96.

    Args:
        champion: `<recipe>/<version>`.
        before, after: the answers of champion and challenger, parts in the same order.
        bad: whether each part is really bad; bool N.
        truth: the answers of the AUROC questions; bool N,Q.
        groups: what is drawn as a whole; N.
        margins: by how much the challenger may be worse in each figure, that which counts most
            first; none: it is not asked.
        draws: how many resamples.
        seed: the same seed gives the same intervals.

    Raises:
        DataError: the answers are not about equally many parts.
    """
    n = len(bad)
    lengths = {len(a) for x in (before, after) for a in (x.right, x.verdicts, x.scores)}
    if lengths | {len(truth), len(groups)} != {n} or before.scores.shape != after.scores.shape:
        raise DataError(
            f"champion and challenger did not answer the same {n} test parts and questions; "
            "run both on the same split"
        )
    drawn = _draw(groups, draws, seed)
    old, new = (_figures(answers, bad, truth, drawn) for answers in (before, after))
    named, spreads = np.asarray(groups), {}
    for name, (among, moved) in _moved(before, after, bad).items():
        spreads[name] = spread((new[name] - old[name])[1:], named[among], moved)
    figures = {name: _difference(old[name], new[name], spreads[name]) for name in old}
    figures = judge_margins(figures, spreads, margins or {})
    worse = int((before.right & ~after.right).sum())
    better = int((~before.right & after.right).sum())
    p = clustering.paired_p(after.right.astype(np.intp) - before.right, groups)
    return Comparison(
        champion=champion,
        n=n,
        only_champion_right=worse,
        only_challenger_right=better,
        mcnemar_p=p,
        figures=figures,
        sentence=f"{_sentence(champion, figures)}; {_discordant(worse, better, p)}",
    )


def worse_in(found: Comparison) -> tuple[str, ...]:
    """The figures in which the challenger is worse than the champion, and not by chance alone."""
    return tuple(
        name
        for name, difference in found.figures.items()
        if difference.low is not None
        and difference.high is not None
        and (difference.low > 0 if name in LESS_IS_BETTER else difference.high < 0)
    )


def _draw(groups: Sequence[str], draws: int, seed: int) -> Floats:
    """How often each part occurs: float32 draws + 1,N; the first row has each part once."""
    codes = clustering.codes(groups)
    n_groups = int(codes.max()) + 1 if len(codes) else 0
    if not n_groups:
        return np.ones((1, 0), np.float32)
    if n_groups < 2:  # every draw would be the same
        return np.ones((1, len(codes)), np.float32)
    even = np.full(n_groups, 1 / n_groups)
    times = np.random.default_rng(seed).multinomial(n_groups, even, size=draws)
    weights = times.astype(np.float32)[:, codes]
    return np.concatenate([np.ones((1, len(codes)), np.float32), weights])


def _figures(answers: Answers, bad: Bools, truth: Bools, weights: Floats) -> dict[str, Floats]:
    """Each figure of each draw, NaN where it is not defined; float draws + 1 each."""
    passed, failed = answers.verdicts == Verdict.PASS, answers.verdicts == Verdict.FAIL
    every = np.ones(len(bad), bool)
    return {
        "escape_rate": _shares(passed & bad, bad, weights),
        "overkill_rate": _shares(failed & ~bad, ~bad, weights),
        "review_rate": _shares(~passed & ~failed, every, weights),
        "accuracy": _shares(answers.right, every, weights),
        "auroc": weighted_auroc(truth, answers.scores, weights),
    }


def _shares(counted: Bools, among: Bools, weights: Floats) -> Floats:
    n = weights @ among.astype(np.float32)
    with np.errstate(invalid="ignore"):
        # Counts are whole in float32, shares are not.
        return np.divide(weights @ counted.astype(np.float32), n, dtype=np.float64)


def weighted_auroc(truth: Bools, scores: Floats, weights: Floats) -> Floats:
    """AUROC of each row of weights, mean over questions; NaN where one has a single answer.

    The share of pairs of a positive and a negative in the right order, ties counting half (Hanley
    and McNeil, Radiology 143, 1982): a cumulative sum along the sorted scores does all draws at
    once.

    Args:
        truth: bool N,Q.
        scores: float N,Q.
        weights: how often each part counts; float D,N.

    Returns:
        float64 D.
    """
    if not len(truth):
        return np.full(len(weights), np.nan)
    step = max(1, AT_ONCE // len(truth))
    starts = range(0, len(weights), step)
    by_question = [
        np.concatenate([_auroc(asked, given, weights[i : i + step]) for i in starts])
        for asked, given in zip(truth.T, scores.T, strict=True)
    ]
    return np.asarray(np.mean(by_question, axis=0), np.float64)


def _auroc(truth: Bools, scores: Floats, weights: Floats) -> Floats:
    order = np.argsort(scores, kind="stable")
    truth, ordered = truth[order], scores[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    sorted_weights = weights[:, order].astype(np.float64)
    positive = np.add.reduceat(sorted_weights * truth, starts, axis=1)
    negative = np.add.reduceat(sorted_weights * ~truth, starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (positive * below).sum(axis=1) / pairs
    return np.asarray(np.where(pairs > 0, found, np.nan), np.float64)


def _moved(
    before: Answers, after: Answers, bad: Bools
) -> dict[str, tuple[Bools, npt.NDArray[np.intp] | None]]:
    """For each figure the parts that it is about and, of a share, which of them it gains (1) or
    loses (-1) from champion to challenger."""
    every = np.ones(len(bad), bool)
    found: dict[str, tuple[Bools, npt.NDArray[np.intp] | None]] = {"auroc": (every, None)}
    for name, among, verdict in (
        ("escape_rate", bad, Verdict.PASS),
        ("overkill_rate", ~bad, Verdict.FAIL),
        ("review_rate", every, Verdict.REVIEW),
    ):
        then, now = ((x.verdicts == verdict)[among].astype(np.intp) for x in (before, after))
        found[name] = among, now - then
    found["accuracy"] = every, after.right.astype(np.intp) - before.right
    return found


def _difference(before: Floats, after: Floats, known: Uncertainty | None) -> Difference:
    low, high = None, None
    champion, challenger, value = (
        float(x[0]) if np.isfinite(x[0]) else None for x in (before, after, after - before)
    )
    if value is not None and known is not None:
        low, high = interval(value, known)
    return Difference(champion=champion, challenger=challenger, value=value, low=low, high=high)


def _discordant(worse: int, better: int, p: float) -> str:
    """McNemar's test in words."""
    return (
        f"right class from the champion alone on {worse} parts, from the challenger alone on "
        f"{better} (McNemar p = {p:.2g})"
    )


def _sentence(champion: str, figures: dict[str, Difference]) -> str:
    """For a person: what changed in the figures that count, and whether it is significant."""
    sentences = []
    for name in SHARES:
        word, found = WORDS[name], figures[name]
        if found.value is None or found.champion is None or found.challenger is None:
            sentences.append(f"{word} not defined")
            continue
        between = ""
        judgement = "no significant difference"
        if found.low is not None and found.high is not None:
            between = f", {100 * found.low:+.1f} to {100 * found.high:+.1f}"
            if found.low > 0 or found.high < 0:
                judgement = "worse" if (found.low > 0) == (name in LESS_IS_BETTER) else "better"
        sentences.append(
            f"{word} {percent(found.challenger)} % against {percent(found.champion)} % "
            f"({100 * found.value:+.1f} points{between}): {judgement}"
        )
    return f"against champion {champion}: " + "; ".join(sentences)
