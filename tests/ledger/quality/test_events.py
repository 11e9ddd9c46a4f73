"""Events for sinks: each is noted once and due until the sink has it."""

from __future__ import annotations

from datetime import UTC, datetime

from pipeline.ledger.ledger import Ledger
from pipeline.ledger.quality.events import EventOutbox, add_event, latest_events

AT = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)


def add(ledger: Ledger, key: str, kind: str = "quality signal") -> bool:
    return add_event(ledger, AT, kind, f"detail of {key}", {"key": key}, key)


def due(outbox: EventOutbox) -> list[str]:
    return [event.data["key"] for event in outbox.due(10)]


def test_an_event_of_one_key_is_noted_once(ledger: Ledger) -> None:
    assert [add(ledger, "a"), add(ledger, "a"), add(ledger, "b")] == [True, False, True]
    with ledger.reading() as db:
        found = latest_events(db, "quality signal", 5)
        assert [(event.at, event.detail) for event in found] == [
            ("2026-11-23T06:00:00.000+00:00", "detail of b"),
            ("2026-11-23T06:00:00.000+00:00", "detail of a"),
        ]
        assert latest_events(db, "another kind", 5) == []


def test_events_are_due_in_order_until_they_are_delivered(ledger: Ledger) -> None:
    outbox = EventOutbox(ledger, "mes")
    outbox.begin()
    add(ledger, "a")
    ledger.note_event(AT, "camera lost", "not for sinks")
    add(ledger, "b")
    assert due(outbox) == ["a", "b"]
    outbox.delivered(outbox.due(1)[0])
    assert due(outbox) == ["b"]
    outbox.begin()  # at the next start
    assert due(outbox) == ["b"]


def test_a_new_sink_gets_no_events_of_before(ledger: Ledger) -> None:
    add(ledger, "a")
    outbox = EventOutbox(ledger, "mes")
    assert due(outbox) == []
    outbox.begin()
    add(ledger, "b")
    assert due(outbox) == ["b"]
    other = EventOutbox(ledger, "mail")
    other.begin()
    assert due(other) == []
