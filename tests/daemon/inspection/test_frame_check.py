"""The gate remembers what it said of a picture that two triggers find."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pipeline.daemon.inspection.frame_check import FrameHealth, Health, HealthGate
from pipeline.daemon.sources import Frame
from tests.daemon.conftest import picture

AT = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture
def gate() -> HealthGate:
    return HealthGate({"top": FrameHealth(Health(frozen_after=3, size_px=(24, 20)), live=True)})


def test_a_frozen_picture_stays_refused_when_a_second_trigger_finds_it(gate: HealthGate) -> None:
    for n in range(2):
        assert gate("top", Frame(AT, float(n), "", None), picture(200)) is None
    frozen = Frame(AT, 2.0, "", None)
    first = gate("top", frozen, picture(200))
    assert first is not None
    assert gate("top", frozen, picture(200)) == first


def test_the_same_frame_for_many_triggers_is_not_a_frozen_one(gate: HealthGate) -> None:
    once = Frame(AT, 0.0, "", picture(200))
    assert [gate("top", once, picture(200)) for _ in range(10)] == [None] * 10
