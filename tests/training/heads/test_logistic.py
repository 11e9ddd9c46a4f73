"""The trained head: a kernel machine that learns, repeats itself and refuses nonsense."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.metrics import roc_auc_score

from pipeline.errors import TrainingError
from pipeline.training.features import extraction
from pipeline.training.heads import logistic, out_of_fold
from pipeline.training.network import kernel

HEAD = logistic.Head(components=8, landmarks=64, l2=0.01, max_epochs=8)
Floats = npt.NDArray[np.float32]


def ring(n: int, seed: int) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Points inside and around a ring: no line parts them, a kernel does."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    radius, angle = 1 + labels + 0.2 * rng.standard_normal(n), rng.uniform(0, 2 * np.pi, n)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    return points.astype(np.float32), labels


def one_hot(labels: npt.NDArray[np.intp]) -> Floats:
    targets: Floats = np.eye(2, dtype=np.float32)[labels]
    return targets


def test_a_head_learns_what_no_line_can_part() -> None:
    known, labels = ring(200, seed=0)
    head, _ = logistic.fit(known, one_hot(labels), HEAD, seed=0)
    unseen, truth = ring(200, seed=1)
    assert roc_auc_score(truth, logistic.predict(head, unseen)[:, 1]) > 0.98


def test_the_same_seed_gives_the_same_head() -> None:
    known, labels = ring(60, seed=0)
    first, _ = logistic.fit(known, one_hot(labels), HEAD, seed=4)
    second, _ = logistic.fit(known, one_hot(labels), HEAD, seed=4)
    assert all(torch.equal(a, b) for a, b in zip(first.buffers(), second.buffers(), strict=True))


def test_stronger_regularisation_makes_the_head_less_sure() -> None:
    known, labels = ring(100, seed=0)
    loose, _ = logistic.fit(known, one_hot(labels), HEAD, seed=0)
    tight, _ = logistic.fit(known, one_hot(labels), HEAD.model_copy(update={"l2": 50.0}), seed=0)
    sure = [logistic.predict(h, known).max(axis=1).mean() for h in (loose, tight)]
    assert sure[1] < sure[0] - 0.1


def test_features_that_never_change_do_no_harm() -> None:
    known, labels = ring(100, seed=0)
    padded = np.hstack([known, np.full((100, 3), 7, np.float32)])
    head, history = logistic.fit(padded, one_hot(labels), HEAD, seed=0)
    assert np.isfinite(history).all()
    assert np.isfinite(logistic.predict(head, padded)).all()


def test_two_components_and_many_landmarks_still_give_a_head() -> None:
    known, labels = ring(600, seed=0)
    config = HEAD.model_copy(update={"components": 2, "landmarks": 600})
    head, _ = logistic.fit(known, one_hot(labels), config, seed=0)
    assert np.isfinite(logistic.predict(head, known)).all()


def test_features_that_are_not_numbers_stop_the_training() -> None:
    known, labels = ring(20, seed=0)
    known[3, 0] = np.nan
    with pytest.raises(TrainingError, match=r"features of 1 image\(s\) are not finite"):
        logistic.fit(known, one_hot(labels), HEAD, seed=0)


def test_an_out_of_fold_score_knows_nothing_of_its_fold() -> None:
    """Labels that only a part's own rows reveal cannot be predicted from those of others."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 5)
    labels = rng.integers(0, 2, 40)[groups]
    fingerprint = rng.standard_normal((40, 12)).astype(np.float32)[groups]
    rows = fingerprint + 0.01 * rng.standard_normal(fingerprint.shape).astype(np.float32)
    seen = logistic.fit(rows, one_hot(labels), HEAD, seed=0)[0]
    unseen = out_of_fold.out_of_fold(
        rows, np.arange(200), one_hot(labels), groups % 5, HEAD, seed=0
    )
    assert roc_auc_score(labels, logistic.predict(seen, rows)[:, 1]) > 0.95
    assert roc_auc_score(labels, unseen.logits[:, 1]) < 0.75


def test_of_several_strengths_the_one_that_says_most_of_unseen_groups_is_taken() -> None:
    known, labels = ring(200, seed=0)
    offered = HEAD.model_copy(update={"l2": (100.0, 0.01, 1e6)})
    found = out_of_fold.out_of_fold(
        known, np.arange(200), one_hot(labels), np.arange(200) % 5, offered, seed=0
    )
    assert found.l2 == 0.01
    assert found.log_loss[0.01] < 0.5 * found.log_loss[100.0]
    assert found.log_loss[1e6] == pytest.approx(np.log(2), abs=0.05)


def test_one_strength_stands_without_a_choice() -> None:
    known, labels = ring(40, seed=0)
    found = out_of_fold.out_of_fold(
        known, np.arange(40), one_hot(labels), np.arange(40) % 2, HEAD, seed=0
    )
    assert (found.l2, list(found.log_loss)) == (0.01, [0.01])


def test_the_plan_covers_every_image_once_as_it_is_and_once_a_view() -> None:
    rows = np.arange(21)
    planned = extraction.plan(rows, views=2)
    for view in (None, 0, 1):
        covered = [int(r) for batch in planned if batch.view == view for r in batch.rows]
        assert covered == rows.tolist()


def test_without_extra_views_the_features_come_in_order_of_views_then_images() -> None:
    rows = np.arange(21)
    image_of = np.concatenate([batch.rows for batch in extraction.plan(rows, views=2)])
    assert image_of.tolist() == np.tile(rows, 3).tolist()
    nothing_more = extraction.plan(rows, views=2, extra=np.zeros(21, np.intp))
    assert [(b.rows.tolist(), b.view) for b in nothing_more] == [
        (b.rows.tolist(), b.view) for b in extraction.plan(rows, views=2)
    ]


def test_extra_views_follow_with_numbers_that_the_image_does_not_have_yet() -> None:
    rows = np.array([10, 11, 12])
    planned = extraction.plan(rows, views=1, extra=np.array([0, 2, 1]))
    seen = [(int(row), batch.view) for batch in planned for row in batch.rows]
    assert seen == [
        *((10, None), (11, None), (12, None)),
        *((10, 0), (11, 0), (12, 0)),
        *((11, 1), (12, 1)),
        (11, 2),
    ]


def test_only_rare_classes_are_augmented_when_no_view_is_asked_for() -> None:
    planned = extraction.plan(np.arange(3), views=0, extra=np.array([0, 0, 2]))
    assert [(b.rows.tolist(), b.view) for b in planned] == [([0, 1, 2], None), ([2], 0), ([2], 1)]


@pytest.mark.parametrize("declared", [True, False])
def test_a_synthetic_image_is_hidden_from_heads_that_may_not_know_its_groups(
    declared: bool,
) -> None:
    """Copies of a group's own fingerprint give its label away, unless they are hidden too."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 5)
    labels = rng.integers(0, 2, 40)[groups]
    rows = rng.standard_normal((40, 12)).astype(np.float32)[groups]
    parents = [frozenset({str(g), "else"}) if declared else frozenset[str]() for g in groups]
    unseen = out_of_fold.out_of_fold(
        np.concatenate([rows, rows]),
        np.arange(400),
        one_hot(np.concatenate([labels, labels])),
        groups % 2,
        HEAD.model_copy(update={"max_epochs": 3}),
        seed=0,
        groups=[str(g) for g in groups],
        parents=parents,
    )
    assert unseen.logits.shape == (200, 2)
    score = roc_auc_score(labels, unseen.logits[:, 1])
    assert score < 0.75 if declared else score > 0.95


def test_the_kernel_is_one_at_home_and_falls_with_distance() -> None:
    a = torch.tensor([[0.0, 0.0]])
    b = torch.tensor([[0.0, 0.0], [1.0, 0.0], [3.0, 4.0]])
    np.testing.assert_allclose(kernel(a, b)[0], np.exp([0, -1, -25]), rtol=1e-6)
