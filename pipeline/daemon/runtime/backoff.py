"""How long to wait before the next try."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Pauses that double from `first_s` to `longest_s`, each shortened by chance by up to half.

    The chance keeps the stations of a plant from all asking a server at once that has come back
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
            first_s: the first pause, before chance.
            longest_s: no pause is longer.
            chance: a number from 0 to 1, another one with each call.
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
        """It went well: the next pause is the shortest again."""
        self._pause_s = self._first_s
