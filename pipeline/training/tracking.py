"""Logging of a training: Lightning's values and files go to its run in the registry.

`registry.training_run` writes the run; here are its adapter for Lightning and its substitute for a
training without a record.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

from lightning_utilities.core.rank_zero import rank_zero_only
from pytorch_lightning.loggers import Logger

from pipeline.registry.training_run import EVERY_S, TrainingInfo, TrainingRun

REMEDY = "set tracking: false in train.yaml to train without a record"


class LiveRun(TrainingRun):
    """The run of a training, with a logger for Lightning."""

    def __init__(self, uri: str, info: TrainingInfo, every_s: float = EVERY_S) -> None:
        """Open it; arguments and errors as of `TrainingRun`."""
        super().__init__(uri, info, every_s, REMEDY)

    def logger(self, prefix: str = "") -> Logger:
        """For `pl.Trainer`; its `finalize` leaves the run open, since a training has many fits."""
        return LiveLogger(self.log_metrics, prefix)


class Untracked:
    """The same for a training without a record: `tracking: false`, or a second process."""

    def logger(self, prefix: str = "") -> Literal[False]:
        """No logger for `pl.Trainer`."""
        return False

    def log_metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Do nothing."""

    def log_params(self, values: Mapping[str, str]) -> None:
        """Do nothing."""

    def log_file(self, path: Path, folder: str = "train") -> None:
        """Do nothing."""

    def finish(self, model_sha256: str) -> list[str]:
        """Do nothing; there is nothing to report."""
        return []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


Tracker: TypeAlias = LiveRun | Untracked


class LiveLogger(Logger):
    """Lightning's MLFlowLogger would write in the training's thread and end the run with a fit."""

    def __init__(self, write: Callable[[Mapping[str, float], int], None], prefix: str) -> None:
        """Give each value's name the prefix and `write` the values with their step."""
        super().__init__()
        self._write, self._prefix = write, f"{prefix}/" if prefix else ""

    @property
    def name(self) -> str:
        """Unused: nothing is written to a folder of this name."""
        return "mlflow"

    @property
    def version(self) -> str:
        """Likewise."""
        return ""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Lightning calls it."""
        values = {f"{self._prefix}{k}": v for k, v in metrics.items()}
        self._write(values, step or 0)

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """The settings are on the run already."""


def training_key(folder: Path, *parts: str) -> str:
    """A key for `TrainingInfo`: this machine, the folder and what its checkpoint depends on."""
    return hashlib.sha256(
        "\n".join([platform.node(), str(folder.absolute()), *parts]).encode()
    ).hexdigest()


def open_run(uri: str, info: TrainingInfo) -> Tracker:
    """Begin or continue the run of a training; of several processes only the first has one.

    Raises:
        RegistryError: nothing answers at `uri`, or it is not a registry.
    """
    return LiveRun(uri, info) if _first_process() else Untracked()


def _first_process() -> bool:
    return getattr(rank_zero_only, "rank", 0) == 0
