"""Delivers one sink's outbox in order, with retries."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.daemon.outbox.events import EventDelivery
from pipeline.daemon.runtime.backoff import Backoff
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import BEAT_EVERY_S, Heartbeat
from pipeline.daemon.sinks import RecordRefused, Sink, SinkConfig, SinkDown
from pipeline.errors import LedgerError
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.outbox import Outbox, OutboxEntry

LOOK_EVERY_S = 1.0  # for entries that another program put there, and for a change of state
DAY_S = 86_400.0
GRACE_S = 600.0  # a shorter outage gives up nothing, not even records replayed after weeks
COUNT_EVERY_S = 1.0

State = Mapping[str, Any]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SinkStatus:
    """Status of one sink.

    Attributes:
        name: of its outbox.
        up: did the last delivery succeed?
        alarm: why not, "" when it did.
        delivered: records since the start of the station.
        due: entries in the outbox.
        dead: dead letters.
    """

    name: str
    up: bool = True
    alarm: str = ""
    delivered: int = 0
    due: int = 0
    dead: int = 0


class Dispatcher:
    """Delivers the entries of one sink, one batch after another.

    An entry that cannot be delivered holds up those after it, so the receiver sees records in the
    order of their triggers. While the sink is down the pauses grow; new records do not shorten
    them. Entries older than `give_up_after_days` are given up only while it is down.

    `nudge`, `drain`, `idle` and `state` may be used from any thread.
    """

    def __init__(
        self,
        config: SinkConfig,
        ledger: Ledger,
        clock: Clock,
        state: Callable[[], State],
        records_at: str = "",
    ) -> None:
        """Open the sink.

        Args:
            config: of the sink.
            ledger: where its outbox is.
            clock: for ages and pauses.
            state: what to announce of the station, ready for JSON; asked for once a second.
            records_at: the address below which people find each record, "" for none.

        Raises:
            ConfigError: settings that can never work.
            MissingExtra: the sink's package is not installed.
        """
        self.name = f"sink {config.outbox}"
        self._config = config
        self._ledger = ledger
        self._clock = clock
        self._station_state = state
        self._records_at = records_at
        self._outbox = Outbox(ledger, config.outbox)
        self._events = EventDelivery(config, ledger, clock, records_at)
        self._sink: Sink | None = self._open()
        self._at_work: Heartbeat | None = None
        self._woken = threading.Event()
        self._draining = threading.Event()
        self._tried = False  # since `drain`
        self._alarm = ""
        self._refusal = ""
        self._delivered = 0
        self._counted: tuple[float, tuple[int, int]] | None = None
        self._known_bugs: set[str] = set()
        self._down_since_s: float | None = None

    def nudge(self) -> None:
        """Look for new entries at once, unless the sink is down; a record was closed."""
        self._woken.set()

    def drain(self) -> None:
        """Try once more at once, even if the sink is down, as the station ends; then see `idle`."""
        self._tried = not self._alarm
        self._draining.set()
        self._woken.set()

    @property
    def idle(self) -> bool:
        """Is there nothing that could be delivered now?"""
        if self._alarm:
            return self._tried or not self._draining.is_set()
        return self._count(fresh=True)[0] == 0

    @property
    def status(self) -> SinkStatus:
        """Status of the sink; entries are counted at most once a second."""
        due, dead = self._count()
        alarm = self._alarm
        return SinkStatus(self._config.outbox, not alarm, alarm, self._delivered, due, dead)

    def run(self, heartbeat: Heartbeat) -> None:
        """Deliver until `heartbeat.stopping`, then close the sink; a later call opens it again."""
        # An abandoned worker that hangs in the sink still owns that one.
        taken, self._sink = self._sink, None
        sink = self._open() if taken is None else taken
        self._at_work = heartbeat
        announcer = _Announcer(sink, self._clock, self._station_state, self._config.timeout_s)
        pauses = Backoff()
        try:
            while not heartbeat.stopping:
                pause_s = self._round(sink, heartbeat, pauses)
                if self._alarm:
                    announcer.forget()
                else:
                    announcer.announce(heartbeat)
                    self._events.deliver(sink, heartbeat)
                self._rest(heartbeat, pause_s)
        finally:
            heartbeat.beat(self._config.timeout_s)
            try:
                sink.close()
            except Exception as error:
                log.warning("%s: it did not close (%s)", self.name, type(error).__name__)

    def _open(self) -> Sink:
        sink = self._config.open(self._ledger.station, self._clock)
        sink.records_at = self._records_at
        return sink

    def _round(self, sink: Sink, heartbeat: Heartbeat, pauses: Backoff) -> float:
        """Deliver one batch; returns how long to wait before the next."""
        heartbeat.beat(self._config.timeout_s)
        entries: list[OutboxEntry] = []
        try:
            entries = self._outbox.due(sink.batch)
            if not entries:
                return LOOK_EVERY_S
            self._hand_over(sink, entries)
        except Exception as error:
            pause_s = self._failed(heartbeat, entries, error, pauses)
        else:
            pauses.reset()
            self._set_alarm(heartbeat, "")
            pause_s = 0.0
        heartbeat.beat()
        return pause_s

    def _hand_over(self, sink: Sink, entries: Sequence[OutboxEntry]) -> None:
        """Deliver the entries up to the first that is refused, which becomes a dead letter."""
        taken, refused = list(entries), None
        try:
            sink.deliver([x.record for x in entries])
        except RecordRefused as error:
            at = next((i for i, x in enumerate(entries) if x.record.id == error.record), None)
            if at is None:
                raise SinkDown(f"refused a record that it was not given: {error.record}") from error
            taken, refused = list(entries[:at]), (entries[at], str(error))
        self._outbox.delivered(taken)
        self._delivered += len(taken)
        if refused is not None:
            entry, why = refused
            self._outbox.give_up([entry], why)
            if why != self._refusal:  # a receiver that refuses everything is logged once
                log.warning("%s: %s is a dead letter: %s", self.name, entry.record.id, why)
            self._refusal = why
        self._counted = None

    def _failed(
        self,
        heartbeat: Heartbeat,
        entries: Sequence[OutboxEntry],
        error: Exception,
        pauses: Backoff,
    ) -> float:
        """Note why nothing was delivered; returns how long to wait."""
        why = self._reason(error)
        self._set_alarm(heartbeat, why)
        try:
            self._outbox.failed(entries, why)
            self._give_up_old(why)
        except LedgerError as full:  # a full disk, mostly: the reason stays in memory only
            log.debug("%s: %s", self.name, full)
        self._counted = None
        asked_s = getattr(error, "retry_after_s", None) or 0.0
        return max(pauses.next_s(), asked_s)

    def _give_up_old(self, why: str) -> None:
        """Give up entries that are too old, if the sink has been down for a while."""
        days = self._config.give_up_after_days
        now_s = self._clock.monotonic_s()
        since_s = self._down_since_s
        if since_s is None or now_s - since_s < min(GRACE_S, days * DAY_S):
            return
        while entries := self._outbox.due(1000):
            old = [x for x in entries if x.age_s > days * DAY_S]
            if not old:
                return
            self._outbox.give_up(old, f"not delivered within {days:g} days: {why}")
            log.warning("%s: %d entries given up after %g days", self.name, len(old), days)
            if len(old) < len(entries):
                return

    def _reason(self, error: Exception) -> str:
        if isinstance(error, SinkDown | LedgerError):
            return str(error)
        # Not its text: a library may put anything there, a password included.
        kind = type(error).__name__
        if kind not in self._known_bugs:
            self._known_bugs.add(kind)
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("%s: unexpected %s\n%s", self.name, kind, where)
        return f"unexpected {kind}; see the log"

    def _set_alarm(self, heartbeat: Heartbeat, why: str) -> None:
        if heartbeat is not self._at_work:  # left behind, and another one is at work by now
            return
        if why and not self._alarm:
            log.warning("%s is down: %s; its records wait in the outbox", self.name, why)
        elif self._alarm and not why:
            log.warning("%s is up again", self.name)
        if not why:
            self._down_since_s = None
        elif self._down_since_s is None:
            self._down_since_s = self._clock.monotonic_s()
        self._alarm, self._tried = why, True

    def _rest(self, heartbeat: Heartbeat, seconds: float) -> None:
        """Wait, beating, until the time is over or there is a reason to go on at once."""
        until_s = self._clock.monotonic_s() + seconds
        while not heartbeat.stopping and not (self._draining.is_set() and not self._tried):
            heartbeat.beat()
            left_s = until_s - self._clock.monotonic_s()
            if left_s <= 0 or (self._woken.is_set() and not self._alarm):
                break
            never = threading.Event()
            self._clock.wait(never if self._alarm else self._woken, min(left_s, BEAT_EVERY_S))
        self._woken.clear()

    def _count(self, *, fresh: bool = False) -> tuple[int, int]:
        """How many entries are due and dead; counting a million takes a while."""
        now_s = self._clock.monotonic_s()
        known = self._counted
        if known is None or fresh or now_s - known[0] >= COUNT_EVERY_S:
            try:
                self._counted = known = now_s, self._outbox.depth()
            except LedgerError:
                return (0, 0) if known is None else known[1]
        return known[1]


class _Announcer:
    """Announces the station's state to one sink when it changes; retries after a pause."""

    def __init__(
        self, sink: Sink, clock: Clock, state: Callable[[], State], timeout_s: float
    ) -> None:
        self._sink = sink
        self._clock = clock
        self._state = state
        self._timeout_s = timeout_s
        self._announced: State | None = None
        self._next_s = clock.monotonic_s()
        self._pauses = Backoff(first_s=2.0)

    def forget(self) -> None:
        """Announce the status again: a receiver that was away has missed it."""
        self._announced = None

    def announce(self, heartbeat: Heartbeat) -> None:
        """Announce the state if it has changed; a failure is not an error."""
        if heartbeat.stopping or self._clock.monotonic_s() < self._next_s:
            return
        heartbeat.beat(self._timeout_s)
        try:
            state = self._state()
            if state != self._announced:
                self._sink.announce(state)
                self._announced = state
        except Exception as error:
            log.debug("state not announced: %s", type(error).__name__)
            self._announced = None
            self._next_s = self._clock.monotonic_s() + self._pauses.next_s()
        else:
            self._pauses.reset()
            self._next_s = self._clock.monotonic_s() + LOOK_EVERY_S
        heartbeat.beat()
