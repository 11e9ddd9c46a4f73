"""Notifies systemd of a station: ready, alive, reloading its line file, stopping.

The protocol of sd_notify(3): one datagram of `NAME=value` lines to the socket that systemd names in
the environment. Without systemd nothing is sent.
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
    """Send lines to systemd, if it listens; inspection goes on if that fails."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # Linux's abstract names
        address = f"\0{address[1:]}"
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.sendto("\n".join(lines).encode(), address)


def reloading() -> None:
    """Notify that the line file is being reloaded; `Watchdog` notifies when that is over."""
    now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notify("RELOADING=1", f"MONOTONIC_USEC={now_us}", "WATCHDOG=1")


def stopping() -> None:
    """Notify that the station is shutting down."""
    notify("STOPPING=1", "STATUS=finishing what waits")


class Watchdog:
    """Notifies systemd once a second that the station is alive, with its status.

    `beat` is called by the station's main loop, so that a hung loop is noticed: systemd's watchdog
    then kills the process and restarts it. The first beat notifies that the station is ready.
    """

    def __init__(self, status: Callable[[], StationStatus], clock: Clock) -> None:
        self._status = status
        self._clock = clock
        self._due_s: float | None = None

    def again(self) -> None:
        """Notify at the next beat that the station is ready, after a refused reload."""
        self._due_s = None

    def beat(self) -> None:
        """Notify systemd if a second has passed."""
        now_s = self._clock.monotonic_s()
        if self._due_s is not None and now_s < self._due_s:
            return
        first = ("READY=1",) if self._due_s is None else ()
        self._due_s = now_s + EVERY_S
        if os.environ.get("NOTIFY_SOCKET"):
            notify(*first, "WATCHDOG=1", f"STATUS={status_line(self._status())}")


def status_line(status: StationStatus) -> str:
    """One line for `systemctl status`."""
    away = "; ".join(status.not_ready)
    ready = f"not ready: {away}" if away else "ready"
    if status.degraded and not away:
        ready = f"degraded: {status.degraded}"
    closed = sum(status.verdicts.values())
    model = status.model.version or "no model"
    return " ".join(f"{ready}; {closed} inspected with {model}".split())
