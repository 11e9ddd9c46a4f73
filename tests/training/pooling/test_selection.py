"""The choice of a pooling by parts that no head has seen."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.training import Floats
from pipeline.training.head_modules import LinearHead
from pipeline.training.pooling.selection import WORST, PoolingChoice, choose, offered
from tests.training.pooling.tiles import N_TILES, PASSING, linear, parts


def choice(poolings: dict[str, int], worst: Floats | None = None) -> PoolingChoice:
    known = parts()
    n = len(known.targets)

    def head_of(rows: np.ndarray) -> LinearHead:
        assert len(set(known.folds[rows % n])) == 2  # of three
        return linear(known)

    view = known.features + np.float32(0.01)
    features = np.concatenate([known.features, view])
    image_of = np.tile(np.arange(n), 2)
    return choose(
        *(features, image_of, known.targets, np.ones(n, np.float32), known.folds),
        *(N_TILES, PASSING, poolings, head_of, worst),
    )


@pytest.mark.parametrize(
    ("wanted", "n_tiles", "names"),
    [
        ("auto", 4, ["noisy_or", "top_1", "top_2", "top_4"]),
        ("auto", 16, ["noisy_or", "top_1", "top_2", "top_4", "top_16"]),
        ("top_k", 2, ["top_1", "top_2"]),
        ("noisy_or", 9, ["noisy_or"]),
    ],
)
def test_what_is_offered_depends_on_the_setting_and_the_number_of_tiles(
    wanted: str, n_tiles: int, names: list[str]
) -> None:
    assert list(offered(wanted, n_tiles)) == names


def test_the_best_by_parts_out_of_fold_is_taken_and_its_runner_up_named() -> None:
    found = choice({"noisy_or": 0, "top_4": 4})
    assert found.name == "noisy_or"
    assert list(found.losses) == ["noisy_or", "top_4"]
    assert found.logits.shape == (120, 2)
    assert (found.logits.argmax(1) == np.arange(120) % 2).mean() > 0.85
    (line,) = found.lines
    assert line.startswith(f"pooling of tiles: noisy_or {found.losses['noisy_or']:.4f} log loss")
    assert line.endswith(f"; runner-up top_4 {found.losses['top_4']:.4f}")
    assert found.facts == {"name": "noisy_or", "oof_log_losses": dict(found.losses)}


def test_the_worst_tile_stays_where_no_pooling_is_better() -> None:
    sure = np.where(np.eye(2)[np.arange(120) % 2] > 0, 0.0, -9.0).astype(np.float32)
    found = choice({"noisy_or": 0}, worst=sure)
    assert found.name == WORST
    assert found.logits is sure


def test_without_folds_there_is_nothing_to_compare() -> None:
    found = PoolingChoice("noisy_or", 0, np.empty((0, 2), np.float32), {})
    assert found.lines == ["pooling of tiles: noisy_or, without folds to choose by"]
