"""One fine-tuning: repeatable, exactly resumed, and clear about why it cannot go on."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor

from pipeline.errors import TrainingError
from pipeline.training.finetune import TrainerSettings
from pipeline.training.finetune.module import FineTuning
from pipeline.training.network import Network
from pipeline.training.tile_pooling import TilePooling
from tests.training.finetune.conftest import (
    TAXONOMY,
    Tiny,
    examples,
    held_out,
    network,
    one_hot,
    tune,
)

pytestmark = pytest.mark.slow


def same(a: Network, b: Network) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def test_training_makes_the_starting_network_better(tmp_path: Path) -> None:
    _, tuned = tune(tmp_path, {"epochs": 5})
    assert tuned.start is not None
    assert tuned.figures is not None
    assert tuned.epoch > 0
    assert tuned.figures.log_loss < tuned.start.log_loss


def test_the_same_seed_gives_the_same_weights_and_another_one_others(tmp_path: Path) -> None:
    seeds = enumerate((3, 3, 4))
    nets = [tune(tmp_path / str(i), seed=seed, held=None)[0] for i, seed in seeds]
    assert same(nets[0], nets[1])
    assert not same(nets[0], nets[2])


def test_the_weights_of_the_best_epoch_are_kept(tmp_path: Path) -> None:
    net, tuned = tune(tmp_path, {"epochs": 6})
    held = held_out()
    with torch.inference_mode():
        logits = net.eval()(torch.from_numpy(held.images.stack(held.rows)))[0]
    best = tuned.history["val_loss"].min()
    assert int(tuned.history["val_loss"].to_numpy().argmin()) == tuned.epoch - 1
    assert held.figures(logits.numpy()).log_loss == pytest.approx(best, rel=1e-5)


def test_weights_that_only_get_worse_are_not_taken(tmp_path: Path) -> None:
    given = network(examples())
    before = {k: v.clone() for k, v in given.state_dict().items()}
    net, tuned = tune(tmp_path, {"lr": 0.5, "head_lr": 5.0, "epochs": 2}, network=given)
    assert tuned.epoch == 0
    assert tuned.figures == tuned.start
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_without_a_better_epoch_for_a_while_it_ends(tmp_path: Path) -> None:
    settings = {"lr": 0.5, "head_lr": 5.0, "epochs": 9, "patience": 2}
    assert len(tune(tmp_path, settings)[1].history) == 2


def test_without_validation_images_the_last_epoch_is_taken(tmp_path: Path) -> None:
    _, tuned = tune(tmp_path, {"patience": 1}, held=None)
    assert (tuned.epoch, tuned.figures) == (3, None)
    assert tuned.history.columns.tolist() == ["epoch", "loss", "lr", "images_per_s"]


class InTiles:
    """Parts of two tiles: of a bad one the second shows the spot."""

    def __init__(self, given: Any) -> None:
        self._given, n = given, len(given.labels) // 4
        self.tiles = np.array([[4 * i, 4 * i + 2 + side] for i in range(n) for side in (0, 1)])
        self.labels = np.tile([0, 0, 1, 1], n)
        self.index: Any = None

    def stack(self, positions: np.ndarray) -> np.ndarray:
        """Some images, uint8 n,H,W,C."""
        found: np.ndarray = self._given.stack(self.tiles.ravel()[positions])
        return found


def test_the_bad_tile_of_a_part_is_learned_from_the_label_of_the_part(tmp_path: Path) -> None:
    given = examples(96)
    shown, asked = InTiles(given.images), InTiles(held_out().images)
    pooling, n = TilePooling(0, TAXONOMY.passing), len(asked.labels)
    parts = replace(given, images=shown, targets=one_hot(shown.labels), pooling=pooling, n_tiles=2)
    held = replace(
        held_out(),
        images=asked,
        targets=one_hot(asked.labels),
        labels=asked.labels,
        ids=np.array([f"held-{i // 2}" for i in range(n)], object),
    )
    net, tuned = tune(tmp_path, {"epochs": 8, "mixup": 0.4}, examples=parts, held=held)
    assert tuned.start is not None
    assert tuned.figures is not None
    assert tuned.figures.log_loss < tuned.start.log_loss
    with torch.inference_mode():
        logits = net.eval()(torch.from_numpy(asked.stack(np.arange(n))))[0].numpy()
    assert held.figures(logits, pooling=pooling).log_loss == pytest.approx(
        tuned.figures.log_loss, rel=1e-4
    )
    worse = (logits[:, 1] - logits[:, 0]).reshape(-1, 2)[asked.labels[::2] == 1]
    assert (worse[:, 1] > worse[:, 0]).mean() > 0.7


@pytest.mark.parametrize(("limit", "advice"), [(5, "4 would fit"), (0, "not even one image fits")])
def test_too_little_memory_names_the_batch_size_that_would_fit(
    limit: int, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = FineTuning.logits

    def narrow(self: FineTuning, net: Network, image: Tensor) -> Tensor:
        if net is self.network and len(image) > limit:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 1 bytes")
        return whole(self, net, image)

    monkeypatch.setattr(FineTuning, "logits", narrow)
    # Seconds each in a process that has imported all this, and here there is memory enough.
    monkeypatch.setattr("gc.collect", lambda: 0)
    with pytest.raises(TrainingError, match=rf"out of memory.*batch_size 16 on cpu; {advice}"):
        tune(tmp_path)


def test_a_trainer_that_lightning_does_not_know_is_one_clear_error(
    tmp_path: Path,
) -> None:
    with pytest.raises(TrainingError, match=r"trainer in train.yaml: .*abacus"):
        tune(tmp_path, trainer=TrainerSettings(accelerator="abacus"))


def test_ctrl_c_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def press(self: FineTuning, *args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(FineTuning, "on_train_batch_end", press)
    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(KeyboardInterrupt):
            tune(tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)  # Lightning stops listening


def test_a_logger_gets_the_figures_of_each_epoch(tmp_path: Path) -> None:
    logger = CSVLogger(str(tmp_path / "logs"))
    _, tuned = tune(tmp_path / "work", logger=logger)
    written = pd.read_csv(next((tmp_path / "logs").rglob("metrics.csv")))
    names = {"loss", "lr", "images_per_s", "val_loss", "val_accuracy", "val_auroc"}
    assert names <= set(written.columns)
    told = written["val_loss"].dropna().iloc[-1]
    assert told == pytest.approx(tuned.history["val_loss"][2], rel=1e-5)


def test_progressive_sizes_grow_over_the_epochs(tmp_path: Path) -> None:
    seen: list[int] = []

    class Watched(Tiny):
        def __init__(self) -> None:
            super().__init__()
            self.levels[0].register_forward_pre_hook(lambda _, x: seen.append(x[0].shape[-1]))

    given = network(examples(), Watched)
    seen.clear()
    tune(tmp_path, {"progressive": (0.5, 0.75, 1.0)}, network=given, held=None)
    assert seen[-9:] == [8, 8, 8, 12, 12, 12, 16, 16, 16]


@pytest.mark.parametrize("strategy", ["ddp_spawn", "ddp_fork"])
def test_strategies_that_keep_the_result_in_another_process_are_refused(strategy: str) -> None:
    with pytest.raises(ValidationError, match="use ddp"):
        TrainerSettings(strategy=strategy)
