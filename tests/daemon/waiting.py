"""Waiting for what another thread does, without a pause of a length that somebody guessed."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(true: Callable[[], bool], within_s: float = 30) -> None:
    """Return once it is true; fail where that takes too long."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)
