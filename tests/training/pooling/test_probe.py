"""The probe of a recipe in tiles that nothing marks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.inference.predictor import softmax
from pipeline.training.features.backbone_features import BackboneFeatures
from pipeline.training.head_modules import LinearHead
from pipeline.training.heads import logistic
from pipeline.training.pooling.probe import UnmarkedTiles, fixed, pooling_losses
from pipeline.training.tile_pooling import TilePooling, by_part
from tests.training.pooling.tiles import N_TILES, PASSING, TAXONOMY, Parts, linear, parts


def unmarked(of: Parts) -> UnmarkedTiles:
    n = len(of.targets)
    features = BackboneFeatures(of.features, np.arange(n), np.zeros(n, np.intp), 0)
    return UnmarkedTiles(features, of.targets, np.ones(n, np.float32), of.folds, N_TILES, TAXONOMY)


def start(rows: np.ndarray) -> LinearHead:
    return linear(parts())


def test_a_head_that_was_trained_through_its_pooling_judges_parts_it_has_not_seen() -> None:
    tiles, asked = unmarked(parts()), parts(seed=5)
    pooling, scores = tiles.calibrated(tiles.choose("noisy_or", start))
    head, losses = tiles.fit(linear(parts()), pooling)
    assert losses[-1] < losses[0]
    assert scores.shape == (120, 2)
    logits = torch.from_numpy(logistic.logits_of(head, asked.features))
    with torch.no_grad():
        judged = softmax(pooling(by_part(logits, N_TILES))[0].numpy())
    assert (judged.argmax(1) == np.arange(120) % 2).mean() > 0.85


def test_out_of_fold_scores_of_parts_are_calibrated() -> None:
    tiles = unmarked(parts(400))
    _, scores = tiles.calibrated(tiles.choose("noisy_or", start))
    truth = np.arange(400) % 2
    sure = scores.max(1)
    assert abs((scores.argmax(1) == truth).mean() - sure.mean()) < 0.05


def test_the_worst_tile_is_compared_only_where_any_pooling_may_be_taken() -> None:
    known = parts()
    tiles, scores = unmarked(known), known.targets * 0.98 + 0.01
    assert tiles.choose("auto", start, scores).name == "worst"
    assert tiles.choose("noisy_or", start, scores).name == "noisy_or"


def test_what_was_compared_is_logged_by_name() -> None:
    tiles = unmarked(parts())
    found = pooling_losses(tiles.choose("top_k", start).facts)
    assert list(sorted(found)) == ["oof_log_loss_top_1", "oof_log_loss_top_2", "oof_log_loss_top_4"]
    assert pooling_losses({"oof_log_losses": {}}) == {}


def test_without_folds_the_first_that_is_wanted_is_taken() -> None:
    tiles = replace(unmarked(parts()), folds=np.full(480, -1))
    found = tiles.choose("auto", start)
    assert (found.name, len(found.logits), found.losses) == ("noisy_or", 0, {})


@pytest.mark.parametrize(
    ("wanted", "n_tiles", "k"),
    [("auto", 4, 0), ("noisy_or", 4, 0), ("top_k", 4, 2), ("worst", 4, None), ("auto", 1, None)],
)
def test_fine_tuning_has_a_pooling_by_its_setting(wanted: str, n_tiles: int, k: int | None) -> None:
    found = fixed(wanted, n_tiles, PASSING)
    assert (None if found is None else found.k) == k
    assert found is None or isinstance(found, TilePooling)
