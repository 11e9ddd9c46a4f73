"""Exponential backoff with jitter: how long to wait before the next attempt."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Pauses that double from `first_s` to `longest_s`, each randomly shortened by up to half.

    The jitter keeps the stations of a plant from all calling a restarted server at the same moment
    ("equal jitter": M. Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015).
    """

    def __init__(
        self,
        first_s: float = 0.5,
        longest_s: float = 30.0,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Start with the shortest pause.

        Args:
            first_s: the first pause, before jitter.
            longest_s: no pause is longer.
            chance: a random number from 0 to 1, a new one at each call.
        """
        self._first_s = first_s
        self._longest_s = longest_s
        self._chance = chance
        self._pause_s = first_s

    def next_s(self) -> float:
        """The next pause, in seconds."""
        pause_s = self._pause_s * (1 - self._chance() / 2)
        self._pause_s = min(2 * self._pause_s, self._longest_s)
        return pause_s

    def reset(self) -> None:
        """Start again with the shortest pause, after a success."""
        self._pause_s = self._first_s
