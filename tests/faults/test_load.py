"""More parts than the network can judge: refused one by one, counted, never silent."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.conftest import Plant

# Thirty milliseconds a frame, so that the same load is too much on every machine.
SLOW = """
import time, pipeline.inference.inspector as module
inspect = module.Inspector.inspect
def slowly(self, rgb):
    time.sleep(0.03)
    return inspect(self, rgb)
module.Inspector.inspect = slowly
"""
TEN_TIMES = {"type": "replay", "path": "parts", "rate_hz": 330, "loop": True}


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("queue", "overload: 4 frames were waiting (limit 4)"),
        ("latest", "overload: a later frame took its place"),
        ("reject", "overload: another part was being inspected"),
    ],
)
def test_ten_times_too_many_parts_are_all_accounted_for(
    plant: Plant, policy: str, said: str, recovered: Callable[[str, float], None]
) -> None:
    overload = {"policy": policy, "waiting": 4}
    station = plant.start(plant.line(source=TEN_TIMES, overload=overload), first=SLOW)
    station.wait_for_more(20)
    station.end()
    judged = plant.book.count("verdict IN ('PASS', 'FAIL', 'REVIEW')")
    refused = plant.book.count("verdict = 'NOT_INSPECTED' AND reason = ?", said)
    assert refused > judged
    recovered(f"{refused} of {plant.book.closed} refused under 10 times the load, station ended", 0)


@pytest.mark.soak
def test_a_verdict_after_the_takt_is_not_given(plant: Plant) -> None:
    late = {"policy": "queue", "waiting": 100, "takt_ms": 100}
    station = plant.start(plant.line(source=TEN_TIMES, overload=late), first=SLOW)
    station.wait_for(lambda: plant.book.count("reason LIKE 'takt exceeded%'") > 10, "late parts")
    station.end()
    in_time = "verdict IN ('PASS', 'FAIL', 'REVIEW')"
    assert plant.book.count(f"{in_time} AND latency_ms > 100") == 0
    assert plant.book.count(in_time) > 0
