"""The ledger locked, the clock set back: the account goes on."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from tests.faults.conftest import Plant

pytestmark = pytest.mark.slow

# After some frames, however long the station took to start.
BACK = """
import datetime, itertools, pipeline.daemon.runtime.clock as module
asked, now = itertools.count(), module.Clock.now
def back(self):
    return now(self) - datetime.timedelta(hours=1 if next(asked) > 50 else 0)
module.Clock.now = back
"""


def test_a_ledger_locked_by_another_program_loses_no_trigger(
    plant: Plant, recovered: Callable[[str, float], None]
) -> None:
    station = plant.inspecting(plant.line())
    with closing(sqlite3.connect(plant.book.path, isolation_level=None, timeout=10)) as other:
        other.execute("BEGIN IMMEDIATE")
        before = plant.book.closed
        time.sleep(2)  # the fault itself: this long nobody else can write
        assert plant.book.closed == before
        other.execute("ROLLBACK")
    recovered("ledger unlocked; next verdicts", station.wait_for_more())
    station.end()
    assert plant.book.count("reason LIKE 'ledger: %locked%'") > 0
    assert "the ledger can be written again" in station.logged


def test_a_reader_that_stays_for_long_stops_nothing(
    plant: Plant, recovered: Callable[[str, float], None]
) -> None:
    station = plant.inspecting(plant.line())
    with closing(sqlite3.connect(f"{plant.book.path.as_uri()}?mode=ro", uri=True)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM records").fetchone()
        recovered("a reader stays; next verdicts", station.wait_for_more(20))
        reader.execute("ROLLBACK")
    station.end()
    assert plant.book.count("reason LIKE 'ledger:%'") == 0


def test_ids_grow_when_the_clock_is_set_back(
    plant: Plant, recovered: Callable[[str, float], None]
) -> None:
    station = plant.start(plant.line(), first=BACK)
    jumped = (
        "SELECT 1 FROM records AS a JOIN records AS b ON b.seq = a.seq + 1 "
        "WHERE b.captured_at < a.captured_at"
    )
    station.wait_for(lambda: plant.book.ask(jumped), "the clock jumps back")
    recovered("clock set back an hour; next verdicts", station.wait_for_more())
    station.end()
    ids = [identity for (identity,) in plant.book.ask("SELECT id FROM records ORDER BY seq")]
    assert ids == sorted(ids)
    assert plant.book.count("latency_ms < 0") == 0
