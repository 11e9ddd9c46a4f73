"""Delivers events of the station, such as a signal of a control chart, to one sink."""

from __future__ import annotations

import logging
from typing import Any

from pipeline.daemon.runtime.backoff import Backoff
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sinks import RecordRefused, Sink, SinkConfig, SinkDown
from pipeline.errors import LedgerError
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.quality.events import DeliveredEvent, EventOutbox

LOOK_EVERY_S = 1.0
AT_ONCE = 20

log = logging.getLogger(__name__)


class EventDelivery:
    """Delivers events in their order, beside the records; for the thread of the sink.

    An event that the sink cannot take now is tried again after a pause, also after a restart of
    the station; one that the receiver refuses is logged and stays in the ledger.
    """

    def __init__(self, config: SinkConfig, ledger: Ledger, clock: Clock, records_at: str) -> None:
        """Start with what is due.

        Args:
            config: of the sink.
            ledger: where events stand.
            clock: for pauses.
            records_at: the address below which people find each record, "" for none.
        """
        self._wanted = config.events
        self._name = config.outbox
        self._station = ledger.station
        self._pages_at = records_at.removesuffix("records/")
        self._outbox = EventOutbox(ledger, config.outbox)
        self._timeout_s = config.timeout_s
        self._clock = clock
        self._begun = False
        self._next_s = clock.monotonic_s()
        self._pauses = Backoff(first_s=2.0)
        self._failure = ""

    def deliver(self, sink: Sink, heartbeat: Heartbeat) -> None:
        """Deliver what is due, if it is time to; a failure is not an error."""
        if not self._wanted or heartbeat.stopping or self._clock.monotonic_s() < self._next_s:
            return
        try:
            if not self._begun:
                self._outbox.begin()
                self._begun = True
            for event in self._outbox.due(AT_ONCE):
                if heartbeat.stopping:
                    return
                heartbeat.beat(self._timeout_s)
                self._hand_over(sink, event)
        except Exception as error:
            self._failed(error)
        else:
            self._failure = ""
            self._pauses.reset()
            self._next_s = self._clock.monotonic_s() + LOOK_EVERY_S
        heartbeat.beat()

    def _hand_over(self, sink: Sink, event: DeliveredEvent) -> None:
        try:
            sink.notify(event_message(event, self._station, self._pages_at))
        except RecordRefused as refused:
            log.warning("sink %s refused event %d: %s", self._name, event.seq, refused)
        self._outbox.delivered(event)

    def _failed(self, error: Exception) -> None:
        known = isinstance(error, SinkDown | LedgerError)
        # Not its text: a library may put anything there, a password included.
        why = str(error) if known else f"unexpected {type(error).__name__}"
        if why != self._failure:
            log.warning("sink %s: events wait: %s", self._name, why)
        self._failure = why
        asked_s = getattr(error, "retry_after_s", None) or 0.0
        self._next_s = self._clock.monotonic_s() + max(self._pauses.next_s(), asked_s)


def event_message(event: DeliveredEvent, station: str, pages_at: str) -> dict[str, Any]:
    """The message for an event, ready for JSON; the keys are a public format.

    Args:
        event: what happened.
        station: where.
        pages_at: the address of the station's pages, ending in a slash, "" for none.
    """
    message = {
        "type": event.kind.replace(" ", "."),
        "id": f"{station}-event-{event.seq}",
        "station": station,
        "at": event.at,
        "detail": event.detail,
        "data": event.data,
    }
    return message | {"url": f"{pages_at}quality"} if pages_at else message
