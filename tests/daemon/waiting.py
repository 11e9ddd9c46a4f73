"""Waiting for what another thread or process does, without a pause that somebody guessed."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(true: Callable[[], object], what: str = "it", within_s: float = 30) -> None:
    """Return once it is true; fail where that takes too long."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.005)
