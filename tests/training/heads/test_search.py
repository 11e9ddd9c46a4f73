"""The search takes what predicts unseen groups best, and says what it took."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.training.heads.out_of_fold import Folds
from pipeline.training.heads.search import HeadSearchResult, search
from pipeline.training.heads.settings import HeadSettings
from tests.training.heads.test_logistic import one_hot, ring

pytestmark = pytest.mark.slow

FAST = HeadSettings(components=2, landmarks=64, max_epochs=4)
Floats = npt.NDArray[np.float32]


def found_on(
    features: Floats, labels: npt.NDArray[np.intp], config: HeadSettings
) -> HeadSearchResult:
    n = len(labels)
    folds = np.arange(n) // 2 % 5
    return search(
        Folds(features, np.arange(n), one_hot(labels), folds, config, seed=0), (True, False)
    )


def lines(n: int) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Two classes of normal points beside each other: nothing is better than a line."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 2
    shift = 1.5 * (labels - 0.5)
    points = rng.standard_normal((n, 12)) + shift[:, None] * np.eye(12)[0]
    return points.astype(np.float32), labels


def test_a_kernel_is_taken_where_no_line_parts_the_classes() -> None:
    found = found_on(*ring(200, seed=0), FAST)
    assert found.choice.members[0].kind == "kernel"
    assert found.log_loss < 0.2


def test_no_kernel_is_needed_where_a_line_parts_them() -> None:
    found = found_on(*lines(200), FAST.model_copy(update={"components": 12, "average": 1}))
    assert found.choice.members[0].kind != "kernel"


def test_of_several_strengths_the_one_that_predicts_unseen_groups_best_is_taken() -> None:
    offered = FAST.model_copy(update={"kind": "kernel", "l2": (100.0, 0.01, 1e6)})
    offered = offered.model_copy(update={"kernel_width": 0.6, "average": 1})
    found = found_on(*ring(200, seed=0), offered)
    assert found.choice.members[0].strength <= 0.01
    losses = {c.strength: loss for c, loss in found.losses.items()}
    assert losses[0.01] < 0.5 * losses[100.0]
    assert losses[1e6] == pytest.approx(np.log(2), abs=0.05)


def test_a_range_is_extended_where_its_edge_is_best() -> None:
    offered = FAST.model_copy(update={"kind": "kernel", "l2": (1e3, 1e2), "kernel_width": 0.6})
    found = found_on(*ring(200, seed=0), offered)
    assert min(c.strength for c in found.losses) == pytest.approx(0.1)
    assert found.choice.members[0].strength < 1e2


def test_an_edge_that_is_still_best_is_named() -> None:
    offered = FAST.model_copy(update={"kind": "kernel", "l2": (1e9, 1e8), "kernel_width": 0.6})
    found = found_on(*ring(200, seed=0), offered)
    assert found.edges == ["l2 100000 is at the edge of what was tried"]
    assert f"head: {found.edges[0]}" in found.lines()


def test_what_is_given_as_one_value_stays_as_it_is() -> None:
    fixed = FAST.model_copy(update={"kind": "kernel", "kernel_width": 0.05, "l2": 30.0})
    found = found_on(*ring(100, seed=0), fixed)
    assert {(c.kind, c.width, c.strength) for c in found.losses} == {("kernel", 0.05, 30.0)}


def test_labels_without_any_pattern_do_not_look_predictable() -> None:
    """Each fold's scores are by what the other folds chose: many candidates must not flatter."""
    rng = np.random.default_rng(0)
    points, labels = rng.standard_normal((150, 40)).astype(np.float32), rng.integers(0, 2, 150)
    found = found_on(points, labels, FAST.model_copy(update={"components": 40}))
    assert found.log_loss > 0.68


def test_heads_are_averaged_where_a_mean_is_better_on_parts_that_chose_nothing() -> None:
    found = found_on(*lines(200), FAST.model_copy(update={"components": 12}))
    assert set(found.nested) == {1, 4}
    several = len(found.choice.members) > 1
    assert several == (found.nested[4] < found.nested[1])


def test_many_parts_are_halved_and_a_few_are_not() -> None:
    few, many = (found_on(*ring(n, seed=0), FAST) for n in (200, 600))
    assert len(few.losses) == few.compared
    assert len(many.losses) < many.compared


def test_what_is_wanted_decides_among_the_same_candidates() -> None:
    points, labels = lines(240)
    rare = np.flatnonzero((labels == 0) | (np.arange(240) % 8 == 1))
    base = FAST.model_copy(update={"components": 12, "average": 1})
    config = base.model_copy(update={"objective": "macro_f1"})
    found = found_on(points[rare], labels[rare], config)
    assert found.objective == "macro_f1"
    assert min(found.losses.values()) == found.losses[found.choice.members[0]]
    assert "compared out of fold by macro f1; log loss" in found.lines()[0]


def test_the_choice_and_the_runner_up_are_reported() -> None:
    found = found_on(*ring(200, seed=0), FAST)
    (said, *_) = found.lines()
    assert said.startswith("head: ")
    assert str(found.choice.members[0]) in said
    assert f"runner-up {found.runner_up}, log loss" in said
    params = found.params()
    assert params["head"] == " + ".join(map(str, found.choice.members))
    assert params["head.runner_up"] == str(found.runner_up)
    facts = found.facts()
    assert facts["members"][0]["kernel_width"] == found.choice.members[0].width
    assert facts["runner_up"]["kind"] == (found.runner_up.kind if found.runner_up else None)
    assert facts["compared"] == found.compared > 10
