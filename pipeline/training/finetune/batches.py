"""Which images a step sees: the same for any number of processes and loaders.

Epoch e shows every training image once, as an augmented view of its own, and images of rare
classes more often. Batches are uint8 until they are on the device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from pipeline.errors import TrainingError
from pipeline.training import Floats
from pipeline.training.augmentation import Augmenter
from pipeline.training.features.extraction import Images
from pipeline.training.finetune.validation import HeldOut
from pipeline.training.tile_pooling import TilePooling


@dataclass(frozen=True)
class Examples:
    """Training images.

    Attributes:
        images: uint8 H,W,C by position, 0 to N - 1.
        names: one for each image, its own.
        targets: float32 N,K.
        weights: how much each counts in the loss, float32 N, 1 on average.
        extra: how many times more than once an epoch shows each image, int N.
        augmenter: makes the views.
        pooling: of the tiles of a part, where the loss is that of parts; None: of each image.
        n_tiles: of a part, whose images stand next to each other; a step shows all of them.
    """

    images: Images
    names: Sequence[str]
    targets: Floats
    weights: Floats
    extra: npt.NDArray[np.intp]
    augmenter: Augmenter
    pooling: TilePooling | None = None
    n_tiles: int = 1


@dataclass(frozen=True)
class Step:
    """What one process loads for one step: images and their views, of `total` in all processes."""

    rows: npt.NDArray[np.intp]
    views: npt.NDArray[np.intp]
    total: int


def steps_per_epoch(extra: npt.NDArray[np.intp], batch_size: int, n_tiles: int = 1) -> int:
    """Steps in which every image is shown `1 + extra` times, with all tiles of its part."""
    return -(-int((1 + extra[::n_tiles]).sum()) // max(1, batch_size // n_tiles))


class Epochs(Sampler[Step]):
    """The steps of an epoch for one of `world` processes, shuffled by seed and epoch.

    Steps differ by at most one part, so that no small one is left at the end.
    """

    def __init__(
        self,
        extra: npt.NDArray[np.intp],
        batch_size: int,
        seed: int,
        epoch: Callable[[], int] = lambda: 0,
        rank: int = 0,
        world: int = 1,
        n_tiles: int = 1,
    ) -> None:
        shown = 1 + extra[::n_tiles]
        self._rows, self._tiles = np.repeat(np.arange(len(shown)), shown), np.arange(n_tiles)
        first = np.repeat(np.cumsum(shown) - shown, shown)
        self._which = np.arange(len(self._rows)) - first
        self._views = int(shown.max())
        self._steps = steps_per_epoch(extra, batch_size, n_tiles)
        self._seed, self._epoch, self._rank, self._world = seed, epoch, rank, world
        smallest = len(self._rows) // self._steps
        if smallest < world:
            raise TrainingError(
                f"{world} processes cannot share steps of {smallest} part(s);"
                " raise finetune.batch_size in train.yaml or use fewer devices"
            )

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[Step]:
        epoch = self._epoch()
        rng = np.random.default_rng((self._seed, epoch))
        views = epoch * self._views + self._which
        for step in np.array_split(rng.permutation(len(self._rows)), self._steps):
            mine = step[self._rank :: self._world]
            n = len(self._tiles)
            rows = (self._rows[mine, None] * n + self._tiles).ravel()
            yield Step(rows, np.repeat(views[mine], n), len(step) * n)


class _Augmented(Dataset[tuple[Tensor, Tensor, Tensor, int]]):
    def __init__(self, examples: Examples, seed: int) -> None:
        self._examples, self._seed = examples, seed

    def __getitem__(self, step: Step) -> tuple[Tensor, Tensor, Tensor, int]:
        """uint8 n,H,W,C, targets n,K times weights, which images, how many the step has in all."""
        its = self._examples
        images = its.images.stack(step.rows)
        for i, (row, view) in enumerate(zip(step.rows, step.views, strict=True)):
            images[i] = its.augmenter(
                images[i], seed=self._seed, sample_id=its.names[row], view=int(view)
            )
        # So mixed pictures have mixed weights; the loss takes the sum of a target for its weight.
        weighted = its.targets[step.rows] * its.weights[step.rows, None]
        targets = torch.from_numpy(weighted)
        return torch.from_numpy(images), targets, torch.from_numpy(step.rows), step.total


class _AsTheyAre(Dataset[tuple[Tensor, Tensor]]):
    def __init__(self, held: HeldOut) -> None:
        self._held = held

    def __getitem__(self, which: npt.NDArray[np.intp]) -> tuple[Tensor, Tensor]:
        """uint8 n,H,W,C and which of the validation images they are."""
        return torch.from_numpy(self._held.images.stack(self._held.rows[which])), torch.from_numpy(
            which
        )


class Batches(pl.LightningDataModule):
    """Training and validation batches for the process that asks."""

    def __init__(
        self,
        examples: Examples,
        held: HeldOut | None,
        batch_size: int,
        seed: int,
        *,
        workers: int,
        pinned: bool,
    ) -> None:
        super().__init__()
        self._examples, self._held = examples, held
        self._batch_size, self._seed = batch_size, seed
        self._loading: dict[str, Any] = {
            "batch_size": None,  # the samplers give whole batches
            "num_workers": workers,
            "persistent_workers": workers > 0,
            "pin_memory": pinned,
            "worker_init_fn": _one_thread,
        }
        if workers:
            self._loading["prefetch_factor"] = 4

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of the epoch that comes next, also when resumed."""
        assert self.trainer is not None
        # Asked when an epoch begins: loading processes do so before Lightning calls `set_epoch`,
        # and `current_epoch` is still one behind then where a checkpoint was loaded.
        progress: Any = self.trainer.fit_loop.epoch_progress
        sampler = Epochs(
            self._examples.extra,
            self._batch_size,
            self._seed,
            epoch=lambda: int(progress.current.processed),
            rank=self.trainer.global_rank,
            world=self.trainer.world_size,
            n_tiles=self._examples.n_tiles,
        )
        dataset = _Augmented(self._examples, self._seed)
        return DataLoader(dataset, sampler=sampler, **self._loading)

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """Each process's share, equally many: the first ones stand in where some are lacking."""
        if self._held is None:
            return []
        assert self.trainer is not None
        n, world = len(self._held.rows), self.trainer.world_size
        mine = np.arange(self.trainer.global_rank, -(-n // world) * world, world) % n
        size = self._batch_size
        shares = [mine[i : i + size] for i in range(0, len(mine), size)]
        dataset: Any = _AsTheyAre(self._held)
        sampler: Any = shares
        return DataLoader(dataset, sampler=sampler, **self._loading)


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(0)
