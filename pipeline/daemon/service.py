"""The service of `lineside run`: starts a station, ends it at a signal, reloads it at SIGHUP."""

from __future__ import annotations

import gc
import logging
import os
import queue
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from enum import Enum, auto
from pathlib import Path

from pipeline import config
from pipeline.contracts.records import Record
from pipeline.daemon.build import Components, assembled_from, note_in, prepare
from pipeline.daemon.net.held_port import HeldPort
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.settings.line import Line
from pipeline.daemon.station import Station, Summary
from pipeline.daemon.systemd import Watchdog, reloading, stopping
from pipeline.errors import LinesideError

WAKE_EVERY_S = 0.5
REFUSED, RELOADED = "reload refused", "line reloaded"

log = logging.getLogger(__name__)


class _Order(Enum):
    END = auto()
    RELOAD = auto()
    ENDED = auto()


class Service:
    """Runs a station until its sources end or a signal comes.

    At SIGTERM and SIGINT the station finishes waiting parts; a second one ends the process at once.
    At SIGHUP the line file is read again: a bad one is refused and the station goes on unchanged;
    with a good one the station finishes waiting parts and is built again in the same process. Then
    cameras, triggers and model whose settings are the same stay open, and so does the web service's
    port: what comes meanwhile waits. A terminal that is closed sends SIGHUP too: then the station
    ends as at SIGTERM.

    Attributes:
        line: the line file that was last read and accepted.
    """

    def __init__(self, file: Path, clock: Clock | None = None) -> None:
        """Read the line file.

        Raises:
            ConfigError: it cannot be used.
        """
        self.line = config.load(file, Line)
        self._file = file
        self._clock = clock or Clock()
        # A signal interrupts the main thread anywhere; in its handler only SimpleQueue.put is sure
        # not to wait for a lock that the interrupted code holds.
        self._orders: queue.SimpleQueue[_Order] = queue.SimpleQueue()
        self._listening = False

    def run(
        self,
        on_start: Callable[[Station], None] = lambda station: None,
        on_record: Callable[[Record], None] | None = None,
    ) -> Summary:
        """Inspect; called from the main thread. Returns the account since the last reload.

        Args:
            on_start: called with each station before it runs: at the start and at each reload.
            on_record: called with each record after it is in the ledger.

        Raises:
            StationError: the process must be restarted.
            LinesideError: the station cannot be built.
        """
        former: Components | None = None
        refusal = ""
        self._listen_for_hangup()
        components = prepare(self.line, self._clock)
        with closing(HeldPort()) as port:
            while True:
                try:
                    with assembled_from(components, self._clock, port) as station:
                        log.info("station %s %s", *_named(station))
                        self._note_reload(station, refusal, reloaded=former is not None)
                        former, refusal = None, ""
                        on_start(station)
                        # Everything imported and loaded stays. A garbage collection of it would
                        # take 0.1 s, for which a part would have to wait.
                        gc.unfreeze()  # that of the former line is garbage by now
                        gc.collect()
                        gc.freeze()
                        summary, wanted = self._inspect(station, components, on_record)
                except LinesideError as error:
                    # `former` is None once the station was built: then this ends the service.
                    if former is None:
                        raise
                    refusal = _one_line(error)
                    log.error("%s: %s; going back to the former line file", REFUSED, refusal)
                    self.line, components, former = (
                        former.line,
                        self._back_to(former, components),
                        None,
                    )
                    continue
                log.info("station %s has ended, %s", summary.station, _account(summary))
                if wanted is None:
                    return summary
                self.line, components, former = wanted.line, wanted, components

    def _back_to(self, former: Components, refused: Components) -> Components:
        """The former line's components again; those that only the refused one has are closed."""
        components = prepare(former.line, self._clock, refused)
        refused.let_go(components.kept)
        return components

    def _note_reload(self, station: Station, refusal: str, *, reloaded: bool) -> None:
        note = note_in(station.ledger, self._clock)
        if refusal:
            note(REFUSED, refusal)
        elif reloaded:
            log.info("%s from %s", RELOADED, self._file)
            note(RELOADED, str(self._file))

    def _inspect(
        self, station: Station, components: Components, on_record: Callable[[Record], None] | None
    ) -> tuple[Summary, Components | None]:
        """Run one station; returns the components of the one after it, None at the end."""
        stop, wanted = threading.Event(), None
        if not self._listening:  # before the first trigger is taken
            self._listen()
        watchdog = Watchdog(station.status, self._clock)
        # In a thread of its own, so that this one can handle signals and check a new line file
        # meanwhile.
        with ThreadPoolExecutor(1, "station") as pool:
            running = pool.submit(station.run, stop, on_record, watchdog.beat)
            running.add_done_callback(lambda _: self._orders.put(_Order.ENDED))
            while (order := self._order()) is not _Order.ENDED:
                if order is _Order.END:
                    stopping()
                    if wanted is not None:
                        wanted.let_go(wanted.kept)
                    station.kept = wanted = None
                    stop.set()
                elif not stop.is_set():
                    reloading()
                    wanted = self._prepared(station, components)
                    if wanted is None:
                        watchdog.again()
                    else:
                        station.kept = wanted.kept
                        stop.set()
            summary = running.result()
        if wanted is not None and wanted.kept != station.kept:
            # One of them hung; it was left to itself.
            wanted = prepare(wanted.line, self._clock, wanted.without(station.kept or frozenset()))
        return summary, wanted

    def _order(self) -> _Order:
        """The next order, with short waits.

        The system may deliver a signal to another thread, which does not wake this one; Python runs
        the handler when this one wakes up.
        """
        while True:
            with suppress(queue.Empty):
                return self._orders.get(timeout=WAKE_EVERY_S)

    def _prepared(self, station: Station, components: Components) -> Components | None:
        """Components for the line file as it is; None when it cannot be used, which is noted."""
        try:
            return prepare(config.load(self._file, Line), self._clock, components)
        except LinesideError as error:
            log.error("%s: %s; the station goes on unchanged", REFUSED, _one_line(error))
            note_in(station.ledger, self._clock)(REFUSED, _one_line(error))
            return None

    def _listen_for_hangup(self) -> None:
        """Handle SIGHUP: reload or, from a terminal that was closed, end."""
        in_terminal = os.isatty(0)

        def hang_up(number: int, _frame: object) -> None:
            gone = in_terminal and not os.isatty(0)
            self._orders.put(_Order.END if gone else _Order.RELOAD)

        signal.signal(signal.SIGHUP, hang_up)

    def _listen(self) -> None:
        """Handle SIGINT and SIGTERM; before the station is built they end the process at once."""
        self._listening = True

        def end(number: int, _frame: object) -> None:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._orders.put(_Order.END)

        signal.signal(signal.SIGINT, end)
        signal.signal(signal.SIGTERM, end)


def _named(station: Station) -> tuple[str, str]:
    model = station.status().model.version
    return station.ledger.station, f"inspects with {model}" if model else "has no signed model"


def _account(summary: Summary) -> str:
    parts = ", ".join(f"{n} {verdict}" for verdict, n in summary.verdicts.items())
    holds = "" if summary.balances else "; THE ACCOUNT DOES NOT BALANCE"
    return f"{summary.triggers} triggers: {parts}{holds}"


def _one_line(error: Exception) -> str:
    """A message on one line."""
    return " ".join(str(error).split())
