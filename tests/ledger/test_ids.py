"""Ids of records: in the order they were made, whatever the clock does."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.ledger.ids import Ids

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def test_an_id_is_a_uuid_of_version_7_with_the_time_in_front() -> None:
    made = uuid.UUID(Ids().make(AT))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == int(AT.timestamp() * 1000)


def test_ids_of_one_moment_grow() -> None:
    ids = Ids()
    made = [ids.make(AT) for _ in range(1000)]
    assert made == sorted(set(made))


@pytest.mark.slow
def test_ids_grow_when_the_clock_is_set_back() -> None:
    ids = Ids()
    first = ids.make(AT)
    assert ids.make(AT - timedelta(days=365)) > first


def test_ids_go_on_after_the_last_one_of_another_run() -> None:
    last = Ids().make(AT + timedelta(hours=1))
    assert Ids(after=last).make(AT) > last
