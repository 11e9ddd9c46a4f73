"""Progress of fine-tuning in lines, where there is no terminal for a bar."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl

LINE_EVERY_S = 10.0


class EpochLog(pl.Callback):
    """A line now and then, with rate and time left."""

    def __init__(self, epochs: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._epochs, self._clock = epochs, clock
        self._since = self._logged_s = 0.0
        self._images = self._steps = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._since = self._logged_s = self._clock()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        index: int,
    ) -> None:
        """Log how far it is, unless a line was logged a moment ago."""
        self._images += batch[3]
        self._steps += 1
        now = self._clock()
        if now - self._logged_s < LINE_EVERY_S or not trainer.is_global_zero:
            return
        self._logged_s = now
        passed = now - self._since
        left = (trainer.estimated_stepping_batches - trainer.global_step) * passed / self._steps
        print(
            f"  fine-tuning: epoch {trainer.current_epoch + 1} of {self._epochs}, "
            f"{self._images / passed:.1f} images/s, {left:.0f} s left",
            flush=True,
        )


def line(row: Mapping[str, float], epochs: int) -> str:
    """One epoch in words."""
    words = [f"loss {row['loss']:.3f}"]
    if "val_loss" in row:
        words += [f"validation loss {row['val_loss']:.3f}", f"accuracy {row['val_accuracy']:.1%}"]
        words += [f"AUROC {row['val_auroc']:.3f}"]
    words += [f"{row['images_per_s']:.1f} images/s"]
    return f"epoch {row['epoch']:.0f} of {epochs}: {', '.join(words)}"
