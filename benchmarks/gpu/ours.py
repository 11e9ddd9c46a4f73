"""Our side: all that knows how fine-tuning is called. `finetune.fit` runs as it is."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch

from benchmarks import steel
from benchmarks.gpu.data import Data, Size, one_hot
from benchmarks.gpu.schedule import LR, TIMES, WARM_UP, WEIGHT_DECAY, Again
from benchmarks.gpu.stopwatch import Finished, Race, Stopwatch
from pipeline.datasets.shards import Shards
from pipeline.imaging import Pixels
from pipeline.training import architectures, finetune
from pipeline.training.export import export
from pipeline.training.features import extraction
from pipeline.training.finetune import fitting
from pipeline.training.finetune.module import FineTuning
from pipeline.training.head_modules import LinearHead
from pipeline.training.heads.settings import HeadSettings
from pipeline.training.network import Features, Network

COMPONENTS = 384


def rate(network: str, data: Data, size: Size, device: torch.device, resident: bool) -> Stopwatch:
    """Images per second; `resident`: of one batch that lies on the device."""
    watch = Stopwatch(device, size)
    stored = data.many
    head = _random_head(network, stored)
    with contextlib.ExitStack() as stack:
        stack.callback(watch.close)
        stack.enter_context(_watched(on_step=watch.tick))
        if resident:
            batch = _resident(stored, size.batch, device)
            stack.enter_context(mock.patch.object(fitting, "Batches", return_value=batch))
        rows = np.arange(len(stored))
        _fit(_network(network, stored, head), stored, rows, None, size, size.batch, 1, extra=TIMES)
    return watch


def race(network: str, data: Data, size: Size, device: torch.device) -> Race:
    """Seconds to the accuracy asked for, from the head on random features on."""
    race = Race(size)
    stored = data.split
    rows = stored.training
    with tempfile.TemporaryDirectory() as folder:
        features = _features(network, stored)
        finetune.settle_batch_norm(features, _Chosen(stored, rows), len(rows), device)
        graph = Path(folder, "features.onnx")
        export(features, stored[0], "image", ["features"], graph)
        batches = extraction.plan(rows, 0)
        computed = extraction.extract(
            graph, stored, steel.augmenter(), batches, 0, on_gpu=_on(features, device)
        )
        head = finetune.linear_head(computed, one_hot(stored)[rows], HeadSettings(), 0)
    print(f"    ours: head after {race.elapsed_s:.1f} s", flush=True)
    held_rows = np.flatnonzero(stored.index["split"] == "val")
    held = finetune.HeldOut(
        images=stored,
        rows=held_rows,
        ids=stored.index["sample_id"].to_numpy(object)[held_rows],
        targets=one_hot(stored)[held_rows],
        labels=one_hot(stored)[held_rows].argmax(1),
        taxonomy=steel.taxonomy(),
    )
    with _watched(on_judged=race.judge):
        built = Network(features, head)
        _fit(built, stored, rows, held, size, size.small_batch, size.epochs)
    return race


def _fit(
    network: Network,
    stored: Shards,
    rows: npt.NDArray[np.intp],
    held: finetune.HeldOut | None,
    size: Size,
    batch: int,
    epochs: int,
    extra: int = 0,
) -> None:
    examples = finetune.Examples(
        images=_Chosen(stored, rows),
        names=stored.index["sample_id"].iloc[rows].tolist(),
        targets=one_hot(stored)[rows],
        weights=np.ones(len(rows), np.float32),
        extra=np.full(len(rows), extra, np.intp),
        augmenter=steel.augmenter(),
    )
    config = finetune.Finetune(
        epochs=epochs,
        batch_size=batch,
        lr=LR,
        head_lr=LR,
        layer_decay=1.0,
        warmup=WARM_UP,
        weight_decay=WEIGHT_DECAY,
        patience=0,
    )
    trainer = finetune.TrainerSettings(devices=1, num_workers=size.workers)
    with tempfile.TemporaryDirectory() as work, contextlib.suppress(Finished):
        fitting.fit(network, examples, held, config, trainer, 0, work=Path(work), pretrained=False)


def _on(features: Features, device: torch.device) -> tuple[Features, torch.device] | None:
    return (features, device) if device.type == "cuda" else None


class _Chosen:
    """Some of the stored images by position."""

    def __init__(self, stored: Shards, rows: npt.NDArray[np.intp]) -> None:
        self.index = stored.index.iloc[rows].reset_index(drop=True)
        self._stored, self._rows = stored, rows

    def __getitem__(self, position: int) -> Pixels:
        return self._stored[int(self._rows[position])]

    def __len__(self) -> int:
        return len(self._rows)

    def stack(self, positions: npt.NDArray[np.intp]) -> Pixels:
        return self._stored.stack(self._rows[positions])


@contextlib.contextmanager
def _watched(
    on_step: Callable[[int], None] = lambda images: None,
    on_judged: Callable[[float], None] = lambda share: None,
) -> Iterator[None]:
    """Hear of every step and every evaluation of `fit`, which runs as it is."""

    class Watched(FineTuning):
        def on_train_batch_end(self, outputs: Any, batch: Any, index: int) -> None:
            super().on_train_batch_end(outputs, batch, index)
            on_step(batch[3])

        def on_validation_epoch_end(self) -> None:
            super().on_validation_epoch_end()
            assert self.figures is not None
            on_judged(self.figures.accuracy)

    with mock.patch.object(fitting, "FineTuning", Watched):
        yield


def _resident(stored: Shards, n: int, device: torch.device) -> pl.LightningDataModule:
    rows = np.arange(n) % len(stored)
    batch = (
        torch.from_numpy(stored.stack(rows)).to(device),
        torch.from_numpy(one_hot(stored)[rows]).to(device),
        torch.from_numpy(rows),
        n,
    )

    class Resident(pl.LightningDataModule):
        def train_dataloader(self) -> Any:
            return Again(batch)

    return Resident()


def _features(network: str, stored: Shards) -> Features:
    backbone = architectures.build(network, "none", 0)
    return Features(backbone, stored.spec.shape[:2], (1.0,))


def _network(network: str, stored: Shards, head: LinearHead) -> Network:
    return Network(_features(network, stored), head)


def _random_head(network: str, stored: Shards) -> LinearHead:
    with torch.inference_mode():
        wide = _features(network, stored)(torch.from_numpy(stored[0][None])).shape[1]
    classes = len(steel.taxonomy().names)
    return LinearHead(
        torch.randn(wide, COMPONENTS) / wide**0.5,
        torch.zeros(COMPONENTS),
        torch.zeros(COMPONENTS, classes),
        torch.zeros(classes),
    )
