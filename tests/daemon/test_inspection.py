"""The worker that judges, given up for hung and waking up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.assembly import Fixed
from pipeline.daemon.books import Books
from pipeline.daemon.clock import Clock
from pipeline.daemon.inspection import Inspection
from pipeline.daemon.intake import Intake
from pipeline.daemon.ledger import Ledger
from pipeline.daemon.line import Overload
from pipeline.daemon.pulse import Pulse
from pipeline.daemon.sources import Frame
from pipeline.imaging import Pixels
from pipeline.inference.inspector import Inspector
from tests.daemon.conftest import picture
from tests.daemon.waiting import until

WAIT_S = 20


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(tmp_path / "ledger.sqlite", "west-1")) as opened:
        yield opened


class Bench:
    """An inspection with what it needs, whose gate or ledger a test may hold up."""

    def __init__(self, ledger: Ledger, bundle: Bundle) -> None:
        self.clock = Clock()
        self.books = Books(ledger, self.clock)
        self.intake = Intake(Overload())
        self.held: dict[str, threading.Event] = {}
        self.reached: set[str] = set()
        model = Fixed(Inspector(bundle, 1), "cells/1", self.clock.now())
        self.inspection = Inspection(self.intake, self.books, lambda: model, self._gate)

    def _gate(self, camera: str, frame: Frame, pixels: Pixels) -> None:
        self._wait(f"gate {frame.serial}")

    def _wait(self, place: str) -> None:
        self.reached.add(place)
        if place in self.held:
            assert self.held[place].wait(WAIT_S)

    def hold(self, place: str) -> threading.Event:
        """Have whoever comes there wait until the event that is returned is set."""
        self.held[place] = threading.Event()
        return self.held[place]

    def told(self, record: Record, frame: Frame | None) -> None:
        self._wait(f"told {record.serial}")

    def send(self, serial: str) -> None:
        now_s = self.clock.monotonic_s()
        frame = Frame(self.clock.now(), now_s, serial, picture(200))
        arrival = self.books.open("top", self.clock.now(), now_s, serial, frame=frame)
        assert arrival is not None
        self.intake.offer(arrival, Pulse(self.clock))

    def work(self) -> tuple[threading.Thread, Pulse]:
        pulse = Pulse(self.clock)
        thread = threading.Thread(target=self.inspection.run, args=(pulse,), daemon=True)
        thread.start()
        return thread, pulse


@pytest.fixture
def bench(ledger: Ledger, sealed_bundle: Bundle) -> Bench:
    return Bench(ledger, sealed_bundle)


def verdicts(ledger: Ledger) -> dict[str, Verdict]:
    with ledger.reading():
        return {r.serial: r.verdict for r in ledger.records()}


def test_a_worker_that_wakes_up_takes_nothing_from_its_successor(
    bench: Bench, ledger: Ledger
) -> None:
    bench.books.tell(bench.told)
    first, second = bench.hold("told a"), bench.hold("gate b")
    bench.send("a")
    old, pulse = bench.work()
    until(lambda: "told a" in bench.reached)
    pulse.stop()  # the record of a is closed, yet its worker hangs in telling of it
    bench.inspection.abandon("no sign of life for 10 s")
    successor, theirs = bench.work()
    bench.send("b")
    until(lambda: "gate b" in bench.reached)
    first.set()
    old.join(WAIT_S)
    assert not bench.intake.idle  # b is being inspected still
    second.set()
    until(lambda: bench.intake.idle)
    assert successor.is_alive()
    assert verdicts(ledger) == {"a": Verdict.PASS, "b": Verdict.PASS}
    theirs.stop()
    successor.join(WAIT_S)


def test_the_part_of_a_lost_worker_is_not_inspected_whatever_it_says_later(
    bench: Bench, ledger: Ledger
) -> None:
    first = bench.hold("gate a")
    bench.send("a")
    old, pulse = bench.work()
    until(lambda: "gate a" in bench.reached)
    pulse.stop()
    bench.inspection.abandon("no sign of life for 10 s")
    first.set()
    old.join(WAIT_S)
    assert verdicts(ledger) == {"a": Verdict.NOT_INSPECTED}
    assert bench.inspection.drift.of("cells/1").parts == 0
