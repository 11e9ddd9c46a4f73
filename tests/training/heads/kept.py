"""Keeps what is computed, as the feature cache does."""

from __future__ import annotations

from collections.abc import Callable


class Kept:
    """Keeps in memory, and counts what had to be made."""

    def __init__(self) -> None:
        self.made = 0
        self._known: dict[str, bytes] = {}

    def __call__(self, key: str, make: Callable[[], bytes]) -> bytes:
        if key not in self._known:
            self.made += 1
            self._known[key] = make()
        return self._known[key]
