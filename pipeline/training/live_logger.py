"""What Lightning logs, handed on to whoever writes it down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pytorch_lightning.loggers import Logger


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
        """The settings stand on the run."""
