"""More parts than the network can judge: refused one by one, counted, never silent."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.faults.conftest import JUDGED, Plant, lines_of

pytestmark = pytest.mark.slow

# So long a frame, so that the same load is too much on every machine.
SLOW = """
import time, pipeline.inference.inspector as module
inspect = module.Inspector.inspect
def slowly(self, rgb):
    time.sleep(0.03)
    return inspect(self, rgb)
module.Inspector.inspect = slowly
"""
FIVE_A_SECOND = SLOW.replace("0.03", "0.2")
TEN_TIMES = {"type": "replay", "path": "parts", "rate_hz": 50, "loop": True}


@pytest.mark.parametrize(
    ("policy", "because"),
    [
        ("queue", "overload: 4 frames were waiting (limit 4)"),
        ("latest", "overload: a later frame took its place"),
        ("reject", "overload: another part was being inspected"),
    ],
)
def test_of_ten_times_too_many_parts_each_is_accounted_for_and_answered(
    plant: Plant, policy: str, because: str, recovered: Callable[[str, float], None]
) -> None:
    overload = {"policy": policy, "waiting": 4}
    sinks = [{"type": "jsonl", "folder": "delivered"}]
    file = plant.line(source=TEN_TIMES, overload=overload, sinks=sinks)
    station = plant.start(file, first=FIVE_A_SECOND)
    station.wait_for_more(5)
    started = time.monotonic()
    station.end()
    ended_s = time.monotonic() - started
    judged = plant.book.count(JUDGED)
    refused = plant.book.count("verdict = 'NOT_INSPECTED' AND reason = ?", because)
    assert refused > 5 * (judged - 4)  # four waited when the load was over
    delivered = [record["id"] for record in lines_of(plant.home / "delivered")]
    assert sorted(delivered) == sorted(plant.book.closed_ids)  # a refusal overtakes what waits
    recovered(f"{refused} of {plant.book.closed} parts refused; station ended", ended_s)


@pytest.mark.soak
def test_a_verdict_after_the_takt_is_not_given(plant: Plant) -> None:
    late = {"policy": "queue", "waiting": 100, "takt_ms": 100}
    source = {**TEN_TIMES, "rate_hz": 330}
    station = plant.start(plant.line(source=source, overload=late), first=SLOW)
    station.wait_for(lambda: plant.book.count("reason LIKE 'takt exceeded%'") > 10, "late parts")
    station.end()
    assert plant.book.count(f"{JUDGED} AND latency_ms > 100") == 0
    assert plant.book.count(JUDGED) > 0
