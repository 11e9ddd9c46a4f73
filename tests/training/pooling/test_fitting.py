"""Heads that are trained through the pooling of tiles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from pipeline.errors import TrainingError
from pipeline.inference.predictor import softmax
from pipeline.training import Floats
from pipeline.training.heads import logistic
from pipeline.training.pooling.fitting import HeadSpace, fit, pooled_logits
from pipeline.training.tile_pooling import TilePooling
from tests.training.pooling.tiles import N_TILES, PASSING, Parts, inherited, linear, parts

pytestmark = pytest.mark.slow


def of_tiles(head: torch.nn.Module, of: Parts) -> Floats:
    """How bad each tile looks, P*T."""
    return softmax(logistic.logits_of(head, of.features))[:, 1]


def trained(of: Parts, space: HeadSpace, k: int) -> torch.nn.Module:
    wanted = torch.from_numpy(of.targets[::N_TILES])
    pooling = TilePooling(k, PASSING)
    w, b, _ = fit(space, space.seen(of.features), N_TILES, wanted, pooling)
    return space.with_weights(w, b)


@pytest.mark.parametrize("k", [0, 1, 2])
@pytest.mark.parametrize("start", [inherited, linear])
def test_the_tile_that_makes_a_part_bad_is_found_without_being_shown(k: int, start: object) -> None:
    known, asked = parts(seed=0), parts(seed=1)
    head = trained(known, HeadSpace.of(start(known)), k)  # type: ignore[operator]
    is_bad = asked.targets[:, 1] > 0
    scores = of_tiles(head, asked)[is_bad]
    assert roc_auc_score(asked.bad_tile.ravel()[is_bad], scores) > 0.95


def test_the_innocent_tiles_of_bad_parts_look_better_than_by_their_label() -> None:
    known, asked = parts(seed=0), parts(seed=1)
    before = inherited(known)
    after = trained(known, HeadSpace.of(before), 0)
    innocent = (asked.targets[:, 1] > 0) & ~asked.bad_tile.ravel()
    assert of_tiles(after, asked)[innocent].mean() < of_tiles(before, asked)[innocent].mean() / 2


def test_a_head_in_its_space_is_what_it_was() -> None:
    known = parts()
    for head in (inherited(known), linear(known)):
        space = HeadSpace.of(head)
        again = space.with_weights(space.start, head.bias.detach())
        expected = logistic.logits_of(head, known.features)
        np.testing.assert_allclose(logistic.logits_of(again, known.features), expected, atol=0.02)


def test_the_logits_of_parts_are_those_of_the_pooled_head() -> None:
    known = parts()
    space, pooling = HeadSpace.of(inherited(known)), TilePooling(0, PASSING)
    x, wanted = space.seen(known.features), torch.from_numpy(known.targets[::N_TILES])
    w, b, losses = fit(space, x, N_TILES, wanted, pooling)
    found = pooled_logits(space, (w, b), x, N_TILES, pooling)
    tiles = logistic.logits_of(space.with_weights(w, b), known.features).reshape(-1, N_TILES, 2)
    with torch.no_grad():
        expected = pooling(torch.from_numpy(tiles))[0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-2)
    assert losses[-1] < losses[0]


def test_a_loss_that_is_not_finite_names_the_remedy() -> None:
    known = parts(8)
    space = HeadSpace.of(linear(known))
    x = torch.full((8 * N_TILES, 8), torch.nan)
    wanted = torch.from_numpy(known.targets[::N_TILES])
    with pytest.raises(TrainingError, match="pooled tiles became nan; write pooling: worst"):
        fit(space, x, N_TILES, wanted, TilePooling(0, PASSING))
