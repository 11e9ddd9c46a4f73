"""Checkpoints: a training killed at any moment goes on to the weights it would have had.

`<work>/<key>/` holds `last.ckpt`, written whole at the end of each epoch, and the best weights so
far, `best-<epoch>.safetensors`, which the checkpoint names. The key is a hash of all that decides
the outcome, so that only the same training resumes.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from safetensors.torch import save_file
from torch import nn

from pipeline.files import put_in_place
from pipeline.training.finetune.batches import Examples
from pipeline.training.finetune.epoch_log import line
from pipeline.training.finetune.module import FineTuning, NotFinite
from pipeline.training.finetune.settings import Finetune
from pipeline.training.finetune.validation import HeldOut

LAST = "last.ckpt"
CHUNK = 256  # images hashed at a time


def key(
    network: nn.Module,
    examples: Examples,
    held: HeldOut | None,
    config: Finetune,
    seed: int,
    precision: str,
) -> str:
    """Hash of settings, data and starting weights, in hexadecimal."""
    found = hashlib.sha256()

    def add(*parts: bytes | str) -> None:
        for part in parts:
            data = part.encode() if isinstance(part, str) else part
            found.update(len(data).to_bytes(8, "little") + data)

    add(config.model_dump_json(), str(seed), precision, torch.__version__)
    add(json.dumps(examples.augmenter.serialise()), *examples.names)
    add(examples.targets.tobytes(), examples.extra.tobytes())
    if examples.pooling is not None:
        add(f"{examples.n_tiles} tiles, k {examples.pooling.k}")
    add(*_pixels(examples.images, np.arange(len(examples.names))))
    if held is not None:
        add(held.targets.tobytes(), held.labels.tobytes(), *held.ids)
        add(*_pixels(held.images, held.rows))
    for name, tensor in network.state_dict().items():
        add(name, tensor.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


def _pixels(images: Any, rows: Any) -> Iterable[bytes]:
    for start in range(0, len(rows), CHUNK):
        yield images.stack(rows[start : start + CHUNK]).tobytes()


@dataclass
class State:
    """How far a training is.

    Attributes:
        epoch: epochs finished.
        best_epoch: after which the weights were best; 0: those it started from.
        best: validation loss then; without validation images NaN, and the last epoch is best.
        start: figures of the starting weights.
        rows: figures of each epoch.
    """

    epoch: int = 0
    best_epoch: int = 0
    best: float = math.nan
    start: dict[str, float] = field(default_factory=dict)
    rows: list[dict[str, float]] = field(default_factory=list)

    def is_over(self, config: Finetune) -> bool:
        """All epochs done, or too many without getting better."""
        stalled = self.epoch - self.best_epoch
        return self.epoch >= config.epochs or 0 < config.patience <= stalled


def best_weights(folder: Path, state: State) -> Path:
    """Where the best weights lie."""
    return folder / f"best-{state.best_epoch}.safetensors"


def find(folder: Path) -> State | None:
    """How far the training of this folder came; None where it is to start afresh.

    A damaged checkpoint is passed over with a warning.
    """
    file = folder / LAST
    if not file.is_file():
        return None
    try:
        kept = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        state = State(**kept["callbacks"][Checkpoints.__qualname__])
        best = best_weights(folder, state)
        if not best.is_file():
            raise FileNotFoundError(f"{best} is missing")
    except Exception as error:  # unpickling rubbish raises whatever it likes
        print(
            f"  warning: {file} cannot be read ({type(error).__name__}); training starts again",
            file=sys.stderr,
        )
        return None
    return state


def clear(work: Path, keep: str) -> None:
    """Remove what trainings with other settings or data left behind."""
    for folder in work.glob("*/"):
        if folder.name != keep:
            shutil.rmtree(folder, ignore_errors=True)


class Checkpoints(pl.callbacks.Checkpoint):
    """Keeps the best weights and what resuming needs, and ends a training that got stuck."""

    def __init__(self, folder: Path, config: Finetune) -> None:
        self.state = State()
        self._folder, self._config = folder, config

    def state_dict(self) -> dict[str, Any]:
        """What the checkpoint holds of it."""
        return asdict(self.state)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where a checkpoint left off."""
        self.state = State(**state_dict)

    @property
    def state_key(self) -> str:
        """Its name in the checkpoint."""
        return type(self).__qualname__

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Before the first epoch the starting weights are the best so far."""
        assert isinstance(pl_module, FineTuning)
        if self.state.epoch == 0 and pl_module.figures is not None:
            self.state.start = asdict(pl_module.figures)
            self.state.best = pl_module.figures.log_loss
            self._save_best(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the epoch, unless it went wrong."""
        assert isinstance(pl_module, FineTuning)
        state, figures = self.state, pl_module.figures
        metrics = {k: float(trainer.callback_metrics[k]) for k in ("loss", "lr", "images_per_s")}
        if figures is not None:
            metrics |= {f"val_{k.removeprefix('log_')}": v for k, v in asdict(figures).items()}
        state.epoch = trainer.current_epoch + 1
        losses = [v for k, v in metrics.items() if k.endswith("loss")]
        if not all(map(math.isfinite, losses)):
            raise NotFinite(
                f"the loss became {' and on validation parts '.join(map(str, losses))} in epoch "
                f"{state.epoch}"
            )
        state.rows.append({"epoch": state.epoch, **metrics})
        if figures is None or figures.log_loss < state.best:
            state.best_epoch = state.epoch
            state.best = math.nan if figures is None else figures.log_loss
            self._save_best(trainer, pl_module)
        partial = self._folder / f".{LAST}.partial"
        trainer.save_checkpoint(partial)
        if trainer.is_global_zero:
            put_in_place(partial, self._folder / LAST)
            best = best_weights(self._folder, state)
            for former in self._folder.glob("best-*.safetensors"):
                if former != best:
                    former.unlink()
        if not sys.stderr.isatty() and trainer.is_global_zero:
            print(f"  {line(state.rows[-1], self._config.epochs)}", flush=True)
        if state.is_over(self._config):
            trainer.should_stop = True

    def _save_best(self, trainer: pl.Trainer, module: FineTuning) -> None:
        if trainer.is_global_zero:
            tensors = {k: v.cpu().contiguous() for k, v in module.averaged.state_dict().items()}
            partial = self._folder / ".best.partial"
            save_file(tensors, partial)
            put_in_place(partial, best_weights(self._folder, self.state))
