"""The worker that judges, given up for hung and waking up."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from pipeline.contracts.bundle import FRAME_SIZES, Bundle, open_bundle, seal
from pipeline.contracts.frame_sizes import FrameSizes
from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.build import FixedModel
from pipeline.daemon.inspection.recorder import Recorder
from pipeline.daemon.inspection.work_queue import WorkQueue
from pipeline.daemon.inspection.worker import InspectionWorker, ReadyModel
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.settings.line import Overload
from pipeline.daemon.sources import Frame
from pipeline.errors import ModelWithdrawn
from pipeline.files import write_model
from pipeline.imaging import Pixels
from pipeline.inference.inspector import Inspector
from pipeline.ledger.ledger import Ledger
from tests.daemon.conftest import picture
from tests.daemon.waiting import until

WAIT_S = 20


class Bench:
    """An inspection with what it needs, whose gate or ledger a test may hold up."""

    def __init__(
        self,
        ledger: Ledger,
        bundle: Bundle,
        size_tolerance: float | None = None,
        model: Callable[[], ReadyModel] | None = None,
    ) -> None:
        self.clock = Clock()
        self.recorder = Recorder(ledger, self.clock)
        self.work_queue = WorkQueue(Overload())
        self.held: dict[str, threading.Event] = {}
        self.reached: set[str] = set()
        fixed = FixedModel(Inspector(bundle, 1), "cells/1", self.clock.now())
        self.inspection = InspectionWorker(
            *(self.work_queue, self.recorder, model or (lambda: fixed), self._gate),
            size_tolerance=size_tolerance,
        )

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

    def notified(self, record: Record, frame: Frame | None) -> None:
        self._wait(f"notified {record.serial}")

    def send(self, serial: str) -> None:
        now_s = self.clock.monotonic_s()
        frame = Frame(self.clock.now(), now_s, serial, picture(200))
        arrival = self.recorder.open("top", self.clock.now(), now_s, serial, frame=frame)
        assert arrival is not None
        self.work_queue.offer(arrival, Heartbeat(self.clock))

    def work(self) -> tuple[threading.Thread, Heartbeat]:
        heartbeat = Heartbeat(self.clock)
        thread = threading.Thread(target=self.inspection.run, args=(heartbeat,), daemon=True)
        thread.start()
        return thread, heartbeat


@pytest.fixture
def bench(ledger: Ledger, sealed_bundle: Bundle) -> Bench:
    return Bench(ledger, sealed_bundle)


def verdicts(ledger: Ledger) -> dict[str, Verdict]:
    with ledger.reading():
        return {r.serial: r.verdict for r in ledger.records()}


def test_a_worker_that_wakes_up_takes_nothing_from_its_successor(
    bench: Bench, ledger: Ledger
) -> None:
    bench.recorder.subscribe(bench.notified)
    first, second = bench.hold("notified a"), bench.hold("gate b")
    bench.send("a")
    old, heartbeat = bench.work()
    until(lambda: "notified a" in bench.reached)
    heartbeat.stop()  # the record of a is closed, yet its worker hangs in telling of it
    bench.inspection.abandon("no sign of life for 10 s")
    successor, theirs = bench.work()
    bench.send("b")
    until(lambda: "gate b" in bench.reached)
    first.set()
    old.join(WAIT_S)
    assert not bench.work_queue.idle  # b is being inspected still
    second.set()
    until(lambda: bench.work_queue.idle)
    assert successor.is_alive()
    assert verdicts(ledger) == {"a": Verdict.PASS, "b": Verdict.PASS}
    theirs.stop()
    successor.join(WAIT_S)


def test_the_part_of_a_lost_worker_is_not_inspected_whatever_it_returns_later(
    bench: Bench, ledger: Ledger
) -> None:
    first = bench.hold("gate a")
    bench.send("a")
    old, heartbeat = bench.work()
    until(lambda: "gate a" in bench.reached)
    heartbeat.stop()
    bench.inspection.abandon("no sign of life for 10 s")
    first.set()
    old.join(WAIT_S)
    assert verdicts(ledger) == {"a": Verdict.NOT_INSPECTED}
    assert bench.inspection.drift.of("cells/1").parts == 0


def test_without_a_signed_model_no_part_is_inspected(ledger: Ledger, sealed_bundle: Bundle) -> None:
    def withdrawn() -> ReadyModel:
        raise ModelWithdrawn("promote another", "cells/1 was withdrawn by B. Sato: cracks")

    bench = Bench(ledger, sealed_bundle, model=withdrawn)
    records: list[Record] = []
    bench.recorder.subscribe(lambda record, frame: records.append(record))
    thread, heartbeat = bench.work()
    bench.send("a")
    until(lambda: bool(records))
    heartbeat.stop()
    thread.join(WAIT_S)
    (record,) = records
    assert (record.verdict, record.model_version) == (Verdict.NOT_INSPECTED, "")
    assert record.reason == "no signed model: cells/1 was withdrawn by B. Sato: cracks"


@pytest.mark.parametrize(
    ("tolerance", "verdict"), [(0.2, Verdict.NOT_INSPECTED), (None, Verdict.PASS)]
)
def test_a_frame_of_another_size_than_in_training_is_not_inspected(
    ledger: Ledger, sealed_bundle: Bundle, tolerance: float | None, verdict: Verdict
) -> None:
    height, width = picture(200).shape[:2]
    trained = FrameSizes(
        least_aspect=2 * width / height,
        largest_aspect=2 * width / height,
        least_px=width,
        largest_px=width,
    )
    write_model(sealed_bundle.folder / FRAME_SIZES, trained)
    bundle = open_bundle(sealed_bundle.folder, seal(sealed_bundle.folder))
    bench = Bench(ledger, bundle, size_tolerance=tolerance)
    bench.send("A-17")
    thread, heartbeat = bench.work()
    until(lambda: ledger.account().balances, "a verdict")
    heartbeat.stop()
    thread.join(WAIT_S)
    (record,) = ledger.records()
    assert record.verdict is verdict
    if tolerance is not None:
        assert record.reason.startswith(f"wrong size: {width}x{height} px; its width is")
