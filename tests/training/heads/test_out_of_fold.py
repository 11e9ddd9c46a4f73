"""Scores of each part by heads that have not seen its group."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pipeline.training.heads import fitting, logistic
from pipeline.training.heads.out_of_fold import Folds
from pipeline.training.heads.search import search
from tests.training.heads.test_logistic import HEAD, one_hot, ring

pytestmark = pytest.mark.slow


def test_an_out_of_fold_score_knows_nothing_of_its_fold() -> None:
    """Labels that only a part's own rows reveal cannot be predicted from those of others."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 5)
    labels = rng.integers(0, 2, 40)[groups]
    fingerprint = rng.standard_normal((40, 12)).astype(np.float32)[groups]
    rows = fingerprint + 0.01 * rng.standard_normal(fingerprint.shape).astype(np.float32)
    seen = fitting.fit(rows, one_hot(labels), HEAD, seed=0)[0]
    of_parts = Folds(rows, np.arange(200), one_hot(labels), groups % 5, HEAD, seed=0)
    unseen = search(of_parts, (True, False))
    assert roc_auc_score(labels, logistic.predict(seen, rows)[:, 1]) > 0.95
    assert roc_auc_score(labels, unseen.logits[:, 1]) < 0.75


def test_one_head_stands_without_a_choice() -> None:
    known, labels = ring(40, seed=0)
    config = HEAD.model_copy(update={"components": 2})
    of_parts = Folds(known, np.arange(40), one_hot(labels), np.arange(40) % 2, config, seed=0)
    found = search(of_parts, (True, False))
    assert (found.compared, found.runner_up, found.edges) == (1, None, [])
    assert [m.strength for m in found.choice.members] == [0.01]


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
    of_parts = Folds(
        np.concatenate([rows, rows]),
        np.arange(400),
        one_hot(np.concatenate([labels, labels])),
        groups % 2,
        HEAD.model_copy(update={"max_epochs": 3}),
        seed=0,
        groups=[str(g) for g in groups],
        parents=parents,
    )
    unseen = search(of_parts, (True, False))
    assert unseen.logits.shape == (200, 2)
    score = roc_auc_score(labels, unseen.logits[:, 1])
    assert score < 0.75 if declared else score > 0.95
