"""Killed at any moment, a station loses no trigger, no verdict and no letter."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from tests.faults.conftest import SOAK, Plant, lines_of

pytestmark = pytest.mark.slow

KILLS = 50 if SOAK else 2


def test_a_station_killed_at_random_moments_keeps_its_account(
    plant: Plant, recovered: Callable[[str, float], None]
) -> None:
    delivered = plant.home / "delivered"
    file = plant.line(
        source={"type": "replay", "path": "parts", "loop": True},
        sinks=[{"type": "jsonl", "folder": "delivered"}],
    )
    moments, slowest = random.Random(6), 0.0
    for _ in range(KILLS):
        started = time.monotonic()
        station = plant.inspecting(file)
        slowest = max(slowest, time.monotonic() - started)
        time.sleep(moments.uniform(0, 0.3))
        station.kill()
        published = {line["id"] for line in lines_of(delivered)}
        rows = plant.book.ask("SELECT id, verdict FROM records")
        assert published <= {identity for identity, verdict in rows if verdict}
    station = plant.inspecting(plant.line(sinks=[{"type": "jsonl", "folder": "delivered"}]))
    station.wait_for(lambda: not plant.book.ask("SELECT 1 FROM outbox LIMIT 1"), "outbox empty")
    station.end()
    recovered(f"{KILLS} kills; slowest start to first verdict", slowest)
    closed = {identity for (identity,) in plant.book.ask("SELECT id FROM records")}
    assert {line["id"] for line in lines_of(delivered)} == closed
    # At each kill 16 may wait, one is being judged, and the camera has one in its hands.
    assert plant.book.count("reason = 'station restarted'") <= KILLS * 18
