"""timm's side: train.py of huggingface/pytorch-image-models in short, from timm's own parts."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm.data
import timm.optim
import timm.scheduler
import timm.utils
import torch
from torch import nn

from benchmarks import steel
from benchmarks.gpu.data import Data, Size
from benchmarks.gpu.schedule import LR, TIMES, WARM_UP, WEIGHT_DECAY, Again
from benchmarks.gpu.stopwatch import Finished, Race, Stopwatch

# Its type hints know neither all that it exports nor data sets other than its own.
TIMM: Any = timm


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


def rate(network: str, data: Data, size: Size, device: torch.device, resident: bool) -> Stopwatch:
    """Images per second; `resident`: of one batch that lies on the device."""
    watch = Stopwatch(device, size)
    model, optimizer = _timm_model(network, device)
    loader: Any = _loader(data.files / "many", size, size.batch, device, repeats=TIMES)
    if resident:
        once = _loader(data.files / "many", size, size.batch, device)
        loader = Again(tuple(t.clone() for t in next(iter(once))))
    with contextlib.ExitStack() as stack:
        stack.callback(watch.close)
        stack.enter_context(contextlib.suppress(Finished))
        _timm_epoch(model, loader, optimizer, device, lambda images, loss: watch.tick(images))
    return watch


def race(network: str, data: Data, size: Size, device: torch.device) -> Race:
    """Seconds to the accuracy asked for, from random weights."""
    race = Race(size)
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
