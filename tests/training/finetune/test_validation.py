"""Validation figures are of parts, and of what the exported network says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.training.tile_pooling import TilePooling
from tests.training.finetune.conftest import TAXONOMY, held_out, one_hot

TRUTH = np.array([0, 0, 1, 1])
FOUR = replace(
    held_out(),
    rows=np.arange(4),
    ids=np.array(["a", "b", "c", "d"], object),
    targets=one_hot(TRUTH),
    labels=TRUTH,
)


def logits_of(p_bad: list[float]) -> np.ndarray:
    p = np.array(p_bad, np.float32)
    found: np.ndarray = np.log(np.stack([1 - p, p], 1))
    return found


def test_the_figures_are_those_of_the_textbook() -> None:
    figures = FOUR.figures(logits_of([0.1, 0.6, 0.8, 0.9]))
    assert figures.log_loss == pytest.approx(-np.log([0.9, 0.4, 0.8, 0.9]).mean(), rel=1e-5)
    assert (figures.accuracy, figures.auroc) == (0.75, 1.0)


def test_of_several_tiles_the_worst_speaks_for_the_part() -> None:
    tiled = replace(FOUR, ids=np.array(["a", "a", "c", "c"], object))
    figures = tiled.figures(logits_of([0.1, 0.3, 0.2, 0.9]))
    assert figures.log_loss == pytest.approx(-np.log([0.7, 0.9]).mean(), rel=1e-5)
    assert figures.accuracy == 1.0


def test_where_tiles_are_pooled_the_part_is_judged_by_all_of_them() -> None:
    tiled = replace(FOUR, ids=np.array(["b", "b", "a", "a"], object))
    pooling = TilePooling(0, TAXONOMY.passing)
    said = logits_of([0.1, 0.3, 0.5, 0.6])
    figures = tiled.figures(said, pooling=pooling)
    chances = [0.9 * 0.7, 1 - 0.5 * 0.4]
    assert figures.log_loss == pytest.approx(-np.log(chances).mean(), rel=1e-4)
    rows, logits = tiled.of_parts(said, pooling)
    assert (rows.tolist(), logits.shape) == ([0, 2], (2, 2))


def test_a_prior_that_training_took_out_counts_in_the_loss_alone() -> None:
    said = logits_of([0.1, 0.6, 0.8, 0.9])
    plain, adjusted = FOUR.figures(said), FOUR.figures(said, np.log([0.8, 0.2]))
    assert adjusted.log_loss != pytest.approx(plain.log_loss, abs=0.01)
    assert (adjusted.accuracy, adjusted.auroc) == (plain.accuracy, plain.auroc)


def test_with_one_kind_of_part_there_is_no_auroc() -> None:
    alike = replace(FOUR, labels=np.zeros(4, np.intp))
    assert np.isnan(alike.figures(logits_of([0.1, 0.2, 0.3, 0.4])).auroc)
