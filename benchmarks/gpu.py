"""`make bench-gpu`: our fine-tuning on a GPU against timm's own training loop.

ResNet-50 and EfficientNet-B0 from random weights, X-SDD enlarged to 224 x 224, both sides with
AdamW, the same rates, batches and bf16 autocast, channels_last, no compilation.

- own input: images/s inside one long epoch, each side reading the disk its own way: ours
  uint8 shards and the recipe's policy, timm JPEGs and its transforms on a prefetching loader.
- resident: images/s on one batch that lies on the device: the bare step.
- to accuracy: seconds from nothing built until the held-out quarter is judged with 0.90 or more,
  at the same schedule (warm-up, then cosine to 0), with an evaluation and a checkpoint an epoch.
  Ours starts as the stage does, from a head fitted on the random network's features through
  ONNX Runtime, and validates its running mean of weights; the seconds of that are included.

Busy is NVML's utilisation, sampled during the timed windows; in kernels, the share of time with at
least one kernel on the device, from torch.profiler over 20 steps after them.

timm's loop follows train.py of huggingface/pytorch-image-models with timm's own parts: dataset,
loader, optimiser, scheduler stepped by update, saver, `loss.item()` after each update, evaluation.
Left out: distribution, gradient accumulation and clipping, loss scaling (bf16 needs none), mixup,
EMA, label smoothing, resuming, logging and CSV summaries. Changed in its favour: light
augmentation (crops of 0.8 or more instead of 0.08), as many workers as ours, pinned memory.
Ours runs `finetune.fit` as it is, with its running mean, its clipping and Lightning around it.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import statistics
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytorch_lightning as pl
import timm.data
import timm.optim
import timm.scheduler
import timm.utils
import torch
from rich.console import Console
from rich.table import Table
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks import steel
from pipeline.contracts.spec import PreprocessSpec
from pipeline.datasets import shards
from pipeline.datasets.shards import Shards
from pipeline.files import write_json, write_model
from pipeline.imaging import Pixels, codec
from pipeline.training import architectures, extraction, finetune, probe
from pipeline.training.export import export
from pipeline.training.finetune import fitting
from pipeline.training.finetune.module import FineTuning
from pipeline.training.network import Features, LinearHead, Network

try:
    import pynvml
except ImportError:  # nvidia-ml-py: without it that column stays empty
    pynvml = None

# Its type hints know neither all that it exports nor data sets other than its own.
TIMM: Any = timm
NETWORKS = ("resnet50", "efficientnet_b0")
LR, WEIGHT_DECAY, WARM_UP = 1e-3, 0.01, 0.1
GOAL = 0.90
NVML_EVERY_S = 0.05
PROFILED_STEPS = 20
TIMES = 100  # the images are shown in the one epoch that is timed: it does not end in the windows
COMPONENTS = 384


@dataclass(frozen=True)
class Size:
    """How much is done; `--smoke` does next to nothing."""

    side_px: int = 224
    images: int = 4096
    batch: int = 128
    warm_up_steps: int = 10
    warm_up_s: float = 3.0
    window_s: float = 2.0
    windows: int = 3
    epochs: int = 40
    small_batch: int = 64
    limit_s: float = 40.0
    workers: int = min(16, max(1, (os.cpu_count() or 2) - 1))


SMOKE = Size(
    side_px=64,
    images=28,
    batch=4,
    warm_up_steps=1,
    warm_up_s=0.0,
    window_s=0.1,
    windows=3,
    epochs=2,
    small_batch=7,
    limit_s=60.0,
    workers=0,
)


@dataclass(frozen=True)
class Data:
    """The same images twice: JPEG files in a folder a class for timm, shards for us.

    Attributes:
        files: holds `many/`, `train/` and `validation/`.
        many: shards of `Size.images` images, by repeating.
        split: shards of the images once, `split` says train or val.
    """

    files: Path
    many: Shards
    split: Shards


class Finished(Exception):
    """Everything is measured: leave the training loop."""


class Stopwatch:
    """Images per second in windows after a warm-up, then some steps under a profiler."""

    def __init__(self, device: torch.device, size: Size) -> None:
        self.rates: list[float] = []
        self.busy: float | None = None
        self.in_kernels: float | None = None
        self._device, self._size = device, size
        self._steps, self._images = 0, 0
        self._began: float | None = None  # of the window; None while warming up
        self._first = 0.0
        self._utilisation = _Utilisation(device)
        self._profiler: Any = None

    def tick(self, images: int) -> None:
        """One optimiser step was queued.

        Raises:
            Finished: there is nothing left to measure.
        """
        self._steps += 1
        if self._profiler is not None:
            if self._steps == PROFILED_STEPS:
                # The rates are worth having without it.
                with contextlib.suppress(RuntimeError, AttributeError):
                    self._read_profile()
                raise Finished
            return
        now = time.perf_counter()
        if self._steps == 1:
            self._first = now
        if self._began is None:
            if (
                self._steps >= self._size.warm_up_steps
                and now - self._first >= self._size.warm_up_s
            ):
                self._utilisation.start()
                self._open()
            return
        self._images += images
        if now - self._began < self._size.window_s:
            return
        _wait(self._device)
        self.rates.append(self._images / (time.perf_counter() - self._began))
        if len(self.rates) < self._size.windows:
            self._open()
            return
        self.busy = self._utilisation.stop()
        if self._device.type != "cuda":
            raise Finished
        self._profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])
        self._profiler.start()
        _wait(self._device)
        self._began, self._steps = time.perf_counter(), 0

    def close(self) -> None:
        """Stop sampling, also where the loop has failed."""
        self._utilisation.stop()

    def _open(self) -> None:
        _wait(self._device)
        self._began, self._images = time.perf_counter(), 0

    def _read_profile(self) -> None:
        assert self._began is not None
        _wait(self._device)
        seconds = time.perf_counter() - self._began
        self._profiler.stop()
        spans = sorted(
            (event.time_range.start, event.time_range.end)
            for event in self._profiler.events()
            if event.device_type.name == "CUDA"
        )
        covered, until = 0.0, 0.0
        for start, end in spans:
            covered += max(0.0, end - max(start, until))
            until = max(until, end)
        if spans:
            self.in_kernels = covered / 1e6 / seconds


class _Utilisation:
    """Mean of NVML's utilisation between start and stop, 0 to 1; None where there is no NVML."""

    def __init__(self, device: torch.device) -> None:
        self._on = pynvml is not None and device.type == "cuda"
        self._stop = threading.Event()
        self._found: list[int] = []
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def start(self) -> None:
        if self._on:
            self._thread.start()

    def stop(self) -> float | None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        return statistics.mean(self._found) / 100 if self._found else None

    def _sample(self) -> None:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        while not self._stop.wait(NVML_EVERY_S):
            self._found.append(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)


class Race:
    """Seconds and accuracy after each evaluation, until the goal or the limit."""

    def __init__(self, limit_s: float) -> None:
        self.readings: list[tuple[float, float]] = []
        self._limit_s, self._started = limit_s, time.perf_counter()

    def judge(self, share: float) -> None:
        """Held-out images were judged.

        Raises:
            Finished: well enough, or too late.
        """
        seconds = time.perf_counter() - self._started
        self.readings.append((seconds, share))
        if share >= GOAL or seconds > self._limit_s:
            raise Finished

    @property
    def seconds(self) -> float | None:
        """When the goal was reached."""
        return next((seconds for seconds, share in self.readings if share >= GOAL), None)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


# Ours: all that knows how fine-tuning is called.


def _ours_rate(network: str, data: Data, size: Size, device: torch.device, resident: bool) -> Any:
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


def _ours_race(network: str, data: Data, size: Size, device: torch.device) -> Race:
    race = Race(size.limit_s)
    stored = data.split
    rows = stored.training
    with tempfile.TemporaryDirectory() as folder:
        features = _seen(_features(network, stored), stored, rows, device)
        graph = Path(folder, "features.onnx")
        export(features, stored[0], "image", ["features"], graph)
        batches = extraction.plan(rows, 0)
        computed = extraction.extract(graph, stored, steel.augmenter(), batches, 0)
        targets = _targets(stored)[rows]
        head = finetune.linear_head(np.vstack(list(computed)), targets, probe.Head(), 0)
    print(f"    ours: head after {time.perf_counter() - race._started:.1f} s", flush=True)
    held_rows = np.flatnonzero(stored.index["split"] == "val")
    held = finetune.HeldOut(
        images=stored,
        rows=held_rows,
        ids=stored.index["sample_id"].to_numpy(object)[held_rows],
        targets=_targets(stored)[held_rows],
        labels=_targets(stored)[held_rows].argmax(1),
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
        targets=_targets(stored)[rows],
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
        torch.from_numpy(_targets(stored)[rows]).to(device),
        torch.from_numpy(rows),
        n,
    )

    class Resident(pl.LightningDataModule):
        def train_dataloader(self) -> Any:
            return _Again(batch)

    return Resident()


class _Again:
    """One batch for ever; Lightning would take a list for several loaders."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    def __len__(self) -> int:
        return 1_000_000

    def __iter__(self) -> Iterator[Any]:
        return itertools.repeat(self._batch, len(self))


def _features(network: str, stored: Shards) -> Features:
    backbone = architectures.build(network, "none", 0)
    return Features(backbone, stored.spec.shape[:2], (1.0,))


def _seen(
    features: Features, stored: Shards, rows: npt.NDArray[np.intp], device: torch.device
) -> Features:
    """Let batch norm of a random network see some images.

    It has seen none, and would answer quite otherwise in evaluation, where the head is fitted,
    than in training.
    """
    norms = [m for m in features.modules() if isinstance(m, _BatchNorm)]
    kept = [m.momentum for m in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean
    features.train().to(device)
    with torch.no_grad():
        for some in np.array_split(rows, 8)[:4]:
            features(torch.from_numpy(stored.stack(some[:64])).to(device))
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum
    return features.eval().cpu()


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


def _targets(stored: Shards) -> npt.NDArray[np.float32]:
    names = steel.taxonomy().names
    which = [names.index(label) for label in stored.index["label"]]
    return np.eye(len(names), dtype=np.float32)[which]


# timm: train.py in short.


class _Repeated(torch.utils.data.Dataset[Any]):
    """A data set so often that its end does not come; the loader sets `transform`."""

    def __init__(self, dataset: Any, times: int) -> None:
        self._dataset, self._times = dataset, times

    @property
    def transform(self) -> Any:
        return self._dataset.transform

    @transform.setter
    def transform(self, value: Any) -> None:
        self._dataset.transform = value

    def __len__(self) -> int:
        return self._times * len(self._dataset)

    def __getitem__(self, position: int) -> Any:
        return self._dataset[position % len(self._dataset)]


def _loader(folder: Path, size: Size, batch: int, device: torch.device, repeats: int = 0) -> Any:
    dataset = TIMM.data.create_dataset("", root=str(folder))
    training = folder.name != "validation"
    light = {"scale": (0.8, 1.0), "ratio": (0.9, 1.1), "color_jitter": 0.1} if training else {}
    return TIMM.data.create_loader(
        _Repeated(dataset, repeats) if repeats else dataset,
        input_size=(3, size.side_px, size.side_px),
        batch_size=batch,
        is_training=training,
        crop_pct=1.0,
        num_workers=size.workers,
        persistent_workers=size.workers > 0,
        pin_memory=device.type == "cuda",
        device=device,
        **light,
    )


def _timm_model(network: str, device: torch.device) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model: nn.Module = timm.create_model(network, num_classes=len(steel.taxonomy().names))
    model = model.to(device=device).to(memory_format=torch.channels_last)
    optimizer = TIMM.optim.create_optimizer_v2(model, opt="adamw", lr=LR, weight_decay=WEIGHT_DECAY)
    return model, optimizer


def _timm_epoch(
    model: nn.Module,
    loader: Any,
    optimizer: torch.optim.Optimizer,
    device: torch.device,
    on_update: Callable[[int, float], None],
) -> None:
    loss_of, losses = nn.CrossEntropyLoss().to(device), []
    model.train()
    optimizer.zero_grad()
    for images, labels in loader:
        images = images.contiguous(memory_format=torch.channels_last)
        with _autocast(device):
            loss = loss_of(model(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        optimizer.zero_grad()
        on_update(images.size(0), statistics.fmean(losses[-50:]))


def _autocast(device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")


def _timm_rate(network: str, data: Data, size: Size, device: torch.device, resident: bool) -> Any:
    watch = Stopwatch(device, size)
    model, optimizer = _timm_model(network, device)
    loader: Any = _loader(data.files / "many", size, size.batch, device, repeats=TIMES)
    if resident:
        once = _loader(data.files / "many", size, size.batch, device)
        loader = _Again(tuple(t.clone() for t in next(iter(once))))
    with contextlib.ExitStack() as stack:
        stack.callback(watch.close)
        stack.enter_context(contextlib.suppress(Finished))
        _timm_epoch(model, loader, optimizer, device, lambda images, loss: watch.tick(images))
    return watch


def _timm_race(network: str, data: Data, size: Size, device: torch.device) -> Race:
    race = Race(size.limit_s)
    model, optimizer = _timm_model(network, device)
    loader = _loader(data.files / "train", size, size.small_batch, device)
    judged = _loader(data.files / "validation", size, size.small_batch, device)
    warm_up = round(WARM_UP * size.epochs)
    scheduler, _ = TIMM.scheduler.create_scheduler_v2(
        optimizer,
        sched="cosine",
        num_epochs=size.epochs - warm_up,
        warmup_epochs=warm_up,
        warmup_prefix=True,
        step_on_epochs=False,
        updates_per_epoch=len(loader),
    )
    updates = 0

    def update(images: int, loss: float) -> None:
        nonlocal updates
        updates += 1
        scheduler.step_update(num_updates=updates, metric=loss)

    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(Finished):
        saver = TIMM.utils.CheckpointSaver(
            model, optimizer, checkpoint_dir=folder, recovery_dir=folder
        )
        for epoch in range(size.epochs):
            _timm_epoch(model, loader, optimizer, device, update)
            model.eval()
            right, shown = 0, 0
            with torch.inference_mode():
                for images, labels in judged:
                    images = images.contiguous(memory_format=torch.channels_last)
                    with _autocast(device):
                        answers = model(images)
                    right += int((answers.argmax(1) == labels).sum())
                    shown += len(labels)
            saver.save_checkpoint(epoch, metric=right / shown)
            race.judge(right / shown)
    return race


# The data, the table.


def _data(images: Path | None, home: Path, size: Size) -> Data:
    pictures, labels = _pictures(images, size)
    print(f"{len(pictures)} images of {'X-SDD' if images else 'made textures'}", flush=True)
    rows = np.arange(len(pictures))
    known, _ = train_test_split(rows, test_size=0.25, stratify=labels, random_state=0)
    sides = np.where(np.isin(rows, known), "train", "val")
    repeated = np.resize(rows, size.images)
    jobs = [("many", number, row) for number, row in enumerate(repeated.tolist())]
    for row in rows.tolist():
        jobs.append(("train" if sides[row] == "train" else "validation", row, row))

    def write(job: tuple[str, int, int]) -> None:
        side, number, row = job
        path = home / "files" / side / labels[row] / f"{number:05d}.jpg"
        quality = [cv2.IMWRITE_JPEG_QUALITY, 95]
        cv2.imwrite(str(path), cv2.cvtColor(pictures[row], cv2.COLOR_RGB2BGR), quality)

    for side in ("many", "train", "validation"):
        for label in sorted(set(labels)):
            (home / "files" / side / label).mkdir(parents=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(write, jobs))
    return Data(
        files=home / "files",
        many=_shards(
            home / "many", pictures[repeated], labels[repeated], np.full(size.images, "train")
        ),
        split=_shards(home / "split", pictures, labels, sides),
    )


def _pictures(images: Path | None, size: Size) -> tuple[Pixels, npt.NDArray[np.object_]]:
    """uint8 N,H,W,3 and the class of each."""
    shape = (size.side_px, size.side_px)
    names = steel.taxonomy().names
    rng = np.random.default_rng(0)
    if images is None:
        labels = np.resize(np.array(names, object), min(1360, size.images))
        y, x = np.mgrid[: shape[0], : shape[1]]
        made = []
        for label in labels:
            turn = np.pi * names.index(label) / len(names)
            phase, period = rng.uniform(0, 6), rng.uniform(6, 9)
            wave = np.sin((x * np.cos(turn) + y * np.sin(turn)) / period + phase)
            grey = 128 + 50 * wave[:, :, None] + rng.normal(0, 25, (*shape, 3))
            made.append(np.clip(grey, 0, 255).astype(np.uint8))
        return np.stack(made), labels
    paths = [path for name in names for path in sorted((images / name).glob("*.png"))]
    if not paths:
        raise SystemExit(f"error: {images} holds no PNG in folders of the classes of X-SDD")
    paths = paths[:: max(1, len(paths) // size.images)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        read = pool.map(
            lambda p: cv2.resize(codec.read(p), shape, interpolation=cv2.INTER_CUBIC), paths
        )
        return np.stack(list(read)), np.array([path.parent.name for path in paths], object)


def _shards(
    folder: Path, pictures: Pixels, labels: npt.NDArray[Any], sides: npt.NDArray[Any]
) -> Shards:
    """Prepared images as preprocess leaves them."""
    folder.mkdir()
    height, width = pictures.shape[1:3]
    spec = PreprocessSpec.model_validate({"colour": "rgb", "width_px": width, "height_px": height})
    each = shards.images_per_shard(spec)
    for start in range(0, len(pictures), each):
        np.save(folder / shards.name_of(start // each), pictures[start : start + each])
    number = np.arange(len(pictures))
    index = pd.DataFrame(
        {
            "sample_id": [f"{i:05d}" for i in number],
            "label": labels,
            "group": [f"{i:05d}" for i in number],
            "split": sides,
            "given_split": "",
            "fold": -1,
            "variant": "",
            "defect_probability": np.nan,
            "part_label": labels,
            "tile": 0,
            "confidence": 1.0,
            "found": True,
            "shard": number // each,
            "row": number % each,
        }
    )
    index.to_parquet(folder / shards.INDEX, index=False)
    write_model(folder / shards.SPEC, spec)
    return Shards(folder)


@dataclass
class Results:
    """Rows as they come; after each the file is written anew."""

    path: Path | None
    facts: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, row: dict[str, Any]) -> None:
        """Keep a row, say it, write the file."""
        self.rows.append(row)
        told = ", ".join(f"{k} {_short(v)}" for k, v in row.items() if not isinstance(v, list))
        print(f"  {told}", flush=True)
        if self.path:
            write_json(self.path, {**self.facts, "rows": self.rows})

    def of(self, network: str, what: str, side: str) -> dict[str, Any]:
        """A row, empty where it failed."""
        wanted = (network, what, side)
        found = (r for r in self.rows if (r["network"], r["what"], r["side"]) == wanted)
        return next(found, {})


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2f}" if value < 10 else f"{value:.1f}"
    return "none" if value is None else str(value)


def main() -> None:
    """Measure row by row and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=Path, help="the folder of X-SDD; else textures are made")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--smoke", action="store_true", help="tiny, on any device, to try it")
    parser.add_argument("--batch", type=int, default=Size.batch, help="of the images/s")
    parser.add_argument("--epochs", type=int, default=Size.epochs, help="of the schedule")
    parser.add_argument("--limit-s", type=float, default=Size.limit_s, help="of one race")
    parser.add_argument("--json", type=Path, help="write what was measured there, row by row")
    args = parser.parse_args()
    if not torch.cuda.is_available() and not args.smoke:
        raise SystemExit("no CUDA device here: nothing is measured (--smoke tries the program)")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size = SMOKE if args.smoke else Size(batch=args.batch, epochs=args.epochs, limit_s=args.limit_s)
    torch.backends.cudnn.benchmark = True  # as train.py
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    facts = {
        "device": name,
        "torch": torch.__version__,
        "timm": timm.__version__,
        "lightning": version("pytorch-lightning"),
        "cores": os.cpu_count(),
        "batch": size.batch,
        "precision": "bf16" if device.type == "cuda" else "32",
    }
    print(", ".join(f"{key} {value}" for key, value in facts.items()), flush=True)
    results = Results(args.json, facts)
    with tempfile.TemporaryDirectory() as folder:
        data = _data(args.images, Path(folder), size)
        for network in args.networks:
            _measure(network, data, size, device, results)
    _print_rates(results, args.networks)
    _print_races(results, args.networks)


def _measure(network: str, data: Data, size: Size, device: torch.device, results: Results) -> None:
    rates = {"timm": _timm_rate, "ours": _ours_rate}
    races = {"timm": _timm_race, "ours": _ours_race}
    for what in ("resident", "own input", "to accuracy"):
        for side in ("timm", "ours"):
            row: dict[str, Any] = {"network": network, "what": what, "side": side}
            started = time.perf_counter()
            try:
                if what == "to accuracy":
                    race = races[side](network, data, size, device)
                    best = max((share for _, share in race.readings), default=None)
                    row |= {"seconds": race.seconds, "best": best, "readings": race.readings}
                else:
                    watch = rates[side](network, data, size, device, what == "resident")
                    row |= {
                        "images_per_s": statistics.median(watch.rates),
                        "busy": watch.busy,
                        "in_kernels": watch.in_kernels,
                        "windows": watch.rates,
                    }
            except Exception as error:  # the other rows are worth having
                traceback.print_exc()
                row["error"] = f"{type(error).__name__}: {error}"
            finally:
                # Lightning sets it for the process; timm's users do not.
                torch.use_deterministic_algorithms(False)
                if device.type == "cuda":
                    torch.cuda.empty_cache()
            row["took_s"] = time.perf_counter() - started
            results.add(row)


def _print_rates(results: Results, networks: Sequence[str]) -> None:
    table = Table(title=f"training, {results.facts['device']}, batches of {results.facts['batch']}")
    for head in ("network", "input", "timm", "ours", "ratio", "busy", "in kernels"):
        table.add_column(head)
    for network in networks:
        for what in ("resident", "own input"):
            theirs, ours = (results.of(network, what, side) for side in ("timm", "ours"))
            table.add_row(
                network,
                what,
                *(
                    f"{r['images_per_s']:.0f}/s" if "images_per_s" in r else "-"
                    for r in (theirs, ours)
                ),
                _ratio(ours.get("images_per_s"), theirs.get("images_per_s")),
                *(
                    " / ".join(
                        "-" if r.get(key) is None else f"{r[key]:.0%}" for r in (theirs, ours)
                    )
                    for key in ("busy", "in_kernels")
                ),
            )
    Console(width=110).print(table)
    print("busy and in kernels: timm / ours; ratio: ours over timm, medians of the windows")


def _print_races(results: Results, networks: Sequence[str]) -> None:
    table = Table(title=f"seconds to accuracy {GOAL:.2f}, {results.facts['device']}")
    for head in ("network", "timm", "ours", "timm / ours", "best accuracy seen"):
        table.add_column(head)
    for network in networks:
        theirs, ours = (results.of(network, "to accuracy", side) for side in ("timm", "ours"))
        table.add_row(
            network,
            *(
                "not reached" if r.get("seconds") is None else f"{r['seconds']:.1f}"
                for r in (theirs, ours)
            ),
            _ratio(theirs.get("seconds"), ours.get("seconds")),
            " / ".join(
                "-" if r.get("best") is None else f"{r['best']:.3f}" for r in (theirs, ours)
            ),
        )
    Console(width=110).print(table)


def _ratio(above: float | None, below: float | None) -> str:
    return f"{above / below:.2f}" if above and below else "-"


if __name__ == "__main__":
    main()
