"""What both sides have in common."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

LR, WEIGHT_DECAY, WARM_UP = 1e-3, 0.01, 0.1
TIMES = 100  # the images are shown in the one epoch that is timed: it does not end in the windows


class Again:
    """One batch for ever; Lightning would take a list for several loaders."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    def __len__(self) -> int:
        return 1_000_000

    def __iter__(self) -> Iterator[Any]:
        return itertools.repeat(self._batch, len(self))
