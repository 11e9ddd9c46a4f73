"""Which images a step sees: every image once an epoch, however many processes share the work."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.errors import TrainingError
from pipeline.training.finetune.batches import Epochs, Step

NONE = np.zeros(21, np.intp)


def steps(epochs: Epochs) -> list[tuple[list[int], list[int]]]:
    return [(step.rows.tolist(), step.views.tolist()) for step in epochs]


def at(epoch: int, seed: int = 0, extra: npt.NDArray[np.intp] = NONE) -> Epochs:
    return Epochs(extra, 8, seed, epoch=lambda: epoch)


def test_an_epoch_shows_every_image_once_as_a_view_of_its_own() -> None:
    for epoch in (0, 5):
        shown = steps(at(epoch))
        assert sorted(row for rows, _ in shown for row in rows) == list(range(21))
        assert {view for _, views in shown for view in views} == {epoch}


def test_steps_are_of_nearly_one_size() -> None:
    assert [step.total for step in Epochs(NONE, 8, seed=0)] == [7, 7, 7]
    assert [step.total for step in Epochs(NONE, 10, seed=0)] == [7, 7, 7]
    assert len(Epochs(NONE, 10, seed=0)) == 3


def test_order_depends_on_seed_and_epoch_alone() -> None:
    assert steps(at(4)) == steps(at(4))
    assert steps(at(4)) != steps(at(5))
    assert steps(at(4)) != steps(at(4, seed=1))


def test_images_of_rare_classes_are_shown_more_often_and_never_alike() -> None:
    extra = np.array([0, 2, 0])
    seen: Counter[tuple[int, int]] = Counter()
    for epoch in range(3):
        for step in at(epoch, extra=extra):
            seen.update(zip(step.rows.tolist(), step.views.tolist(), strict=True))
    assert set(seen.values()) == {1}
    assert Counter(row for row, _ in seen) == {0: 3, 1: 9, 2: 3}


def test_a_step_shows_all_tiles_of_a_part_next_to_each_other_as_one_view() -> None:
    extra = np.repeat([0, 2, 0, 0, 0], 3)
    epochs = Epochs(extra, 8, seed=0, n_tiles=3)
    shown: Counter[int] = Counter()
    for step in epochs:
        tiles = step.rows.reshape(-1, 3)
        assert (tiles == tiles[:, :1] + np.arange(3)).all()
        assert (tiles[:, 0] % 3 == 0).all()
        assert (step.views.reshape(-1, 3) == step.views[::3, None]).all()
        assert step.total == len(step.rows)
        shown.update(step.rows.tolist())
    assert shown == Counter({row: 3 if 3 <= row < 6 else 1 for row in range(15)})
    assert len(epochs) == -(-7 // 2)


def test_processes_share_each_step_without_overlap() -> None:
    alone = list(Epochs(NONE, 8, seed=0))
    shares: list[list[Step]] = [list(Epochs(NONE, 8, seed=0, rank=r, world=2)) for r in (0, 1)]
    for whole, first, second in zip(alone, *shares, strict=True):
        assert sorted(whole.rows) == sorted([*first.rows, *second.rows])
        assert first.total == second.total == len(whole.rows)


def test_more_processes_than_images_in_a_step_are_refused() -> None:
    with pytest.raises(TrainingError, match=r"4 processes cannot share steps of 1 part"):
        Epochs(NONE, 2, seed=0, world=4)
