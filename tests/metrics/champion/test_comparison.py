"""Champion and challenger on the same parts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import t
from sklearn.metrics import roc_auc_score

from pipeline.errors import DataError
from pipeline.metrics.champion.comparison import Answers, compare, not_compared, weighted_auroc

Floats = npt.NDArray[np.float64]
N = 400
BAD = np.arange(N) < N // 2
GROUPS = [f"g{i}" for i in range(N)]


def answers(scores: Floats, pass_below: float = 0.4, fail_from: float = 0.6) -> Answers:
    """A model whose verdicts follow its scores."""
    verdicts = np.where(scores < pass_below, "PASS", np.where(scores < fail_from, "REVIEW", "FAIL"))
    return Answers((scores >= 0.5) == BAD, verdicts, scores[:, None])


def scored(noise: float, seed: int) -> Floats:
    """The truth, blurred."""
    rng = np.random.default_rng(seed)
    return np.asarray((BAD * 0.4 + 0.3 + noise * rng.normal(size=N)).clip(0, 1), np.float64)


def test_a_model_against_itself_differs_in_nothing() -> None:
    model = answers(scored(0.2, 0))
    found = compare("cell/1", model, model, BAD, BAD[:, None], GROUPS)
    assert (found.only_champion_right, found.only_challenger_right, found.mcnemar_p) == (0, 0, 1.0)
    for name, difference in found.figures.items():
        assert difference.value == 0
        assert difference.low is not None
        assert difference.high is not None
        assert difference.high == pytest.approx(-difference.low)
        # No part of 200 moved: that shows a difference of less than some 1.4 points, not of none.
        assert 0 < difference.high < 0.015 or name == "auroc"
    assert found.sentence.count("no significant difference") == 4


def test_a_better_challenger_is_called_better() -> None:
    found = compare(
        "cell/1", answers(scored(0.3, 0)), answers(scored(0.05, 1)), BAD, BAD[:, None], GROUPS
    )
    assert found.n == N
    assert found.mcnemar_p is not None
    assert found.mcnemar_p < 1e-6
    escape = found.figures["escape_rate"]
    assert escape.high is not None
    assert escape.high < 0
    assert found.sentence.startswith("against champion cell/1: escapes ")
    assert found.sentence.count(": better") == 4


def test_a_worse_challenger_is_called_worse() -> None:
    found = compare(
        "cell/1", answers(scored(0.05, 1)), answers(scored(0.3, 0)), BAD, BAD[:, None], GROUPS
    )
    low = found.figures["escape_rate"].low
    assert low is not None
    assert low > 0
    assert found.sentence.count(": worse") == 4


def test_mcnemar_counts_the_parts_on_which_just_one_is_right() -> None:
    """Of 10 such parts 9 for one side: 2 * (1 + 10) / 2^10, by hand."""
    first, second = np.ones(N, bool), np.ones(N, bool)
    first[:9], second[20] = False, False
    verdicts, scores = np.full(N, "FAIL"), np.zeros((N, 1))
    found = compare(
        "cell/1",
        Answers(first, verdicts, scores),
        Answers(second, verdicts, scores),
        BAD,
        BAD[:, None],
        GROUPS,
        draws=100,
    )
    assert (found.only_champion_right, found.only_challenger_right) == (1, 9)
    assert found.mcnemar_p == pytest.approx(22 / 1024)


def test_each_figure_is_that_of_the_parts() -> None:
    before, after = scored(0.3, 0), scored(0.1, 1)
    figures = compare(
        "cell/1", answers(before), answers(after), BAD, BAD[:, None], GROUPS, draws=100
    ).figures
    expected: dict[str, Callable[[Floats], float]] = {
        "escape_rate": lambda s: float((s[BAD] < 0.4).mean()),
        "overkill_rate": lambda s: float((s[~BAD] >= 0.6).mean()),
        "review_rate": lambda s: float(((s >= 0.4) & (s < 0.6)).mean()),
        "accuracy": lambda s: float(((s >= 0.5) == BAD).mean()),
        "auroc": lambda s: float(roc_auc_score(BAD, s)),
    }
    assert set(figures) == set(expected)
    for name, figure in expected.items():
        found = figures[name]
        assert found.champion == pytest.approx(figure(before))
        assert found.challenger == pytest.approx(figure(after))
        assert found.value == pytest.approx(figure(after) - figure(before))


def test_the_interval_is_that_of_drawing_the_groups_one_draw_after_the_other() -> None:
    before, after = scored(0.3, 0), scored(0.2, 1)
    groups = [f"g{i % 40}" for i in range(N)]

    def difference(rows: npt.NDArray[np.intp]) -> float:
        new, old = (roc_auc_score(BAD[rows], s[rows]) for s in (after, before))
        return float(new - old)

    rows_of, rng = [np.arange(g, N, 40) for g in range(40)], np.random.default_rng(0)
    drawn = [
        difference(np.concatenate([rows_of[g] for g in rng.integers(40, size=40)]))
        for _ in range(400)
    ]
    half = np.std(drawn) * np.sqrt(40 / 39) * t.ppf(0.975, 39)
    value = difference(np.arange(N))
    quick = compare("cell/1", answers(before), answers(after), BAD, BAD[:, None], groups)
    found = quick.figures["auroc"]
    assert [found.low, found.high] == pytest.approx([value - half, value + half], abs=0.012)


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_auroc_with_weights_is_that_of_parts_repeated(levels: int) -> None:
    rng = np.random.default_rng(0)
    truth, scores = rng.random(60) < 0.4, rng.integers(0, levels, 60) / levels
    weights = rng.integers(0, 4, (5, 60)).astype(np.float32)
    found = weighted_auroc(truth[:, None], scores[:, None], weights)
    for row, value in zip(weights.astype(int), found, strict=True):
        assert value == pytest.approx(roc_auc_score(truth.repeat(row), scores.repeat(row)))


def test_auroc_of_several_questions_is_their_mean() -> None:
    rng = np.random.default_rng(0)
    truth, scores = rng.random((60, 3)) < 0.4, rng.random((60, 3))
    found = weighted_auroc(truth, scores, np.ones((1, 60), np.float32))
    assert found[0] == pytest.approx(roc_auc_score(truth, scores, average="macro"))


def test_parts_of_a_group_are_drawn_together() -> None:
    """All parts of a group get the same answer, so 20 groups say far less than 400 parts."""
    rng = np.random.default_rng(0)
    before, after = (np.repeat(rng.random(20), 20) for _ in range(2))
    together = [f"g{i // 20}" for i in range(N)]

    def width(groups: list[str]) -> float:
        found = compare("cell/1", answers(before), answers(after), BAD, BAD[:, None], groups)
        review = found.figures["review_rate"]
        assert review.low is not None
        assert review.high is not None
        return review.high - review.low

    assert width(together) > 2 * width(GROUPS)


@pytest.mark.parametrize(("kind", "undefined"), [(True, "overkill"), (False, "escapes")])
def test_without_one_kind_of_part_its_figures_are_not_defined(kind: bool, undefined: str) -> None:
    bad = np.full(N, kind)
    model = answers(scored(0.2, 0))
    found = compare("cell/1", model, model, bad, bad[:, None], GROUPS, draws=100)
    name = {"overkill": "overkill_rate", "escapes": "escape_rate"}[undefined]
    for figure in (name, "auroc"):
        difference = found.figures[figure]
        assert (difference.value, difference.low, difference.high) == (None, None, None)
    assert f"{undefined} not defined" in found.sentence


def test_answers_on_other_parts_are_refused() -> None:
    model, scores = answers(scored(0.2, 0)), scored(0.2, 0)
    fewer = Answers(model.right[1:], model.verdicts[1:], scores[1:, None])
    with pytest.raises(DataError, match="did not answer the same 400 test parts"):
        compare("cell/1", fewer, model, BAD, BAD[:, None], GROUPS)


def test_the_same_seed_gives_the_same_intervals() -> None:
    before, after = answers(scored(0.3, 0)), answers(scored(0.2, 1))
    first, again, other = (
        compare("c/1", before, after, BAD, BAD[:, None], GROUPS, draws=200, seed=seed)
        for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_a_champion_that_could_not_be_run_is_named_with_the_reason() -> None:
    found = not_compared("cell/3", "it knows other classes")
    assert (found.champion, found.not_run, found.figures) == (
        "cell/3",
        "it knows other classes",
        {},
    )


def test_shares_are_those_of_the_metrics_to_the_last_digit() -> None:
    bad, right = np.ones(80, bool), np.ones(80, bool)
    verdicts = np.array(["PASS"] * 9 + ["FAIL"] * 71)
    answers = Answers(right, verdicts, np.linspace(0, 1, 80)[:, None])
    groups = [str(i) for i in range(80)]
    found = compare("c/1", answers, answers, bad, bad[:, None], groups, draws=100)
    assert found.figures["escape_rate"].challenger == 9 / 80


def test_parts_of_one_group_leave_differences_without_an_interval() -> None:
    bad, right = np.arange(80) < 40, np.ones(80, bool)
    verdicts = np.array(["PASS", "FAIL"] * 40)
    answers = Answers(right, verdicts, np.linspace(0, 1, 80)[:, None])
    other = Answers(right, verdicts[::-1].copy(), answers.scores)
    found = compare("c/1", answers, other, bad, bad[:, None], ["module"] * 80, draws=100)
    assert found.figures["escape_rate"].low is None


def test_one_module_that_suits_the_challenger_does_not_make_it_right_more_often() -> None:
    """McNemar's p falls with every cell of one module; by groups it is one toss."""
    first, second = np.ones(N, bool), np.ones(N, bool)
    first[:20] = False
    verdicts, scores = np.full(N, "FAIL"), np.zeros((N, 1))
    before, after = (Answers(right, verdicts, scores) for right in (first, second))
    modules = [f"g{i // 20}" for i in range(N)]
    grouped = compare("cell/1", before, after, BAD, BAD[:, None], modules, draws=100)
    alone = compare("cell/1", before, after, BAD, BAD[:, None], GROUPS, draws=100)
    assert (grouped.only_challenger_right, grouped.mcnemar_p) == (20, 1.0)
    assert alone.mcnemar_p == pytest.approx(2 / 2**20)
