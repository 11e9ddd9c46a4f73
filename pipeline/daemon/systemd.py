"""What systemd is told of a station: ready, alive, loading its line file anew, ending.

The protocol of sd_notify(3): one datagram of `NAME=value` lines to the socket that systemd names in
the environment. Without systemd nobody is told.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.status import StationStatus

EVERY_S = 1.0


def notify(*lines: str) -> None:
    """Tell systemd, if it listens; that it does not is no reason to stop inspecting."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # Linux's abstract names
        address = f"\0{address[1:]}"
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.sendto("\n".join(lines).encode(), address)


def reloading() -> None:
    """Say that the line file is being loaded anew; `Watchdog` says when that is over."""
    now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notify("RELOADING=1", f"MONOTONIC_USEC={now_us}", "WATCHDOG=1")


def stopping() -> None:
    """Say that the station is on its way out."""
    notify("STOPPING=1", "STATUS=finishing what waits")


class Watchdog:
    """Tells systemd once a second that the station is alive, and how it is.

    `beat` is called by the station's own loop, so a loop that hangs is noticed: systemd's watchdog
    then kills the process and starts it anew. The first beat says that the station is ready.
    """

    def __init__(self, state: Callable[[], StationStatus], clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._due_s: float | None = None

    def again(self) -> None:
        """Say at the next beat that the station is ready, after a reload that was refused."""
        self._due_s = None

    def beat(self) -> None:
        """Tell systemd if it is time to."""
        now_s = self._clock.monotonic_s()
        if self._due_s is not None and now_s < self._due_s:
            return
        first = ("READY=1",) if self._due_s is None else ()
        self._due_s = now_s + EVERY_S
        if os.environ.get("NOTIFY_SOCKET"):
            notify(*first, "WATCHDOG=1", f"STATUS={status(self._state())}")


def status(state: StationStatus) -> str:
    """One line for `systemctl status`."""
    away = "; ".join(state.not_ready)
    ready = f"not ready: {away}" if away else "ready"
    closed = sum(state.verdicts.values())
    return " ".join(f"{ready}; {closed} inspected with {state.model.version}".split())
