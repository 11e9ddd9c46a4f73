"""A source that fails in an unforeseen way is started again, and the station goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.contracts.records import Verdict
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.settings.line import Line, Supervision
from pipeline.daemon.sources import Frame, Source
from pipeline.daemon.station import Station, Summary
from pipeline.inference.inspector import Inspector
from pipeline.ledger.ledger import Ledger
from tests.daemon.conftest import picture, station_of

pytestmark = pytest.mark.slow

WAIT_S = 60


class Failing(Source):
    """Fails at its first two connects as it is told; then a good part comes, and no more."""

    def __init__(self, fail: Callable[[], None]) -> None:
        self.connects = 0
        self._fail = fail

    def frames(self, heartbeat: Heartbeat) -> Iterator[Frame]:
        self.connects += 1
        if self.connects <= 2:
            self._fail()
        clock = Clock()
        yield Frame(clock.now(), clock.monotonic_s(), "part", picture(200))


@pytest.fixture
def inspect(line: Line, sealed_bundle: Bundle) -> Iterator[Callable[[Source], Inspected]]:
    line = line.model_copy(update={"supervision": Supervision(hung_after_s=1, drain_s=1)})
    with closing(Ledger(line.ledger, line.station)) as ledger:

        def run(source: Source) -> Inspected:
            station = station_of(line, source, Inspector(sealed_bundle, 1), ledger)
            # Who fails for ever would keep the test from its end.
            stop = threading.Event()
            guard = threading.Timer(WAIT_S, stop.set)
            guard.start()
            summary = station.run(stop)
            guard.cancel()
            with ledger.reading() as db:
                rows = db.execute("SELECT kind FROM events ORDER BY seq").fetchall()
            events = [row["kind"] for row in rows]
            return summary, station, events

        yield run


Inspected = tuple[Summary, Station, list[str]]


def test_source_with_a_bug_is_connected_again(inspect: Callable[[Source], Inspected]) -> None:
    def stumble() -> None:
        raise ZeroDivisionError("in a driver")

    summary, station, events = inspect(source := Failing(stumble))
    assert source.connects == 3
    assert station.status().restarts == 2
    assert summary.verdicts[Verdict.PASS] == summary.triggers == 1
    assert events[-1] == "camera connected"


def test_source_that_hangs_is_abandoned_and_connected_again(
    inspect: Callable[[Source], Inspected],
) -> None:
    end = threading.Event()

    def hang() -> None:
        end.wait(WAIT_S)

    summary, station, _ = inspect(source := Failing(hang))
    end.set()
    assert source.connects == 3
    assert station.status().restarts == 2
    assert summary.verdicts[Verdict.PASS] == summary.triggers == 1
