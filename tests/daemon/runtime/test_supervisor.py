"""Workers that die or hang are replaced; those that end are not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest

from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.runtime.supervisor import MOST_ABANDONED, Supervisor
from pipeline.testing import FakeClock
from tests.daemon.waiting import until

WAIT_S = 10


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def supervisor(clock: FakeClock) -> Supervisor:
    return Supervisor(clock, hung_after_s=10)


class Starts:
    """Counts how often a worker was started and lets a test wait for it."""

    def __init__(self, act: Callable[[Heartbeat, int], object]) -> None:
        self.heartbeats: list[Heartbeat] = []
        self._act = act
        self._came = threading.Condition()

    def run(self, heartbeat: Heartbeat) -> None:
        with self._came:
            self.heartbeats.append(heartbeat)
            self._came.notify_all()
        self._act(heartbeat, len(self.heartbeats))

    def wait(self, n: int) -> None:
        with self._came:
            assert self._came.wait_for(lambda: len(self.heartbeats) >= n, WAIT_S)


def settle(supervisor: Supervisor, starts: int, worker: Starts, clock: FakeClock) -> None:
    """Let time pass until a worker was started so often."""
    for _ in range(2000):
        if len(worker.heartbeats) >= starts:
            return
        supervisor.step()
        clock.advance(0.05)
        threading.Event().wait(0.001)
    pytest.fail(f"started {len(worker.heartbeats)} times, not {starts}")


def test_a_worker_that_died_is_started_again_and_its_loss_reported(
    supervisor: Supervisor, clock: FakeClock
) -> None:
    reasons: list[str] = []
    done = threading.Event()

    def act(heartbeat: Heartbeat, n: int) -> None:
        if n == 1:
            raise RuntimeError("the driver is gone")
        done.wait(WAIT_S)

    worker = Starts(act)
    supervisor.start("camera", worker.run, reasons.append)
    settle(supervisor, 2, worker, clock)
    assert reasons == ["RuntimeError: the driver is gone"]
    assert supervisor.restarts == 1
    done.set()


def test_pauses_between_restarts_grow(supervisor: Supervisor, clock: FakeClock) -> None:
    times: list[float] = []

    def act(heartbeat: Heartbeat, n: int) -> None:
        times.append(clock.monotonic_s())
        raise RuntimeError("again")

    worker = Starts(act)
    supervisor.start("camera", worker.run)
    settle(supervisor, 6, worker, clock)
    pauses = [b - a for a, b in pairwise(times)]
    assert pauses[4] > 2 * pauses[0]


def test_no_pause_between_restarts_is_longer_than_half_a_minute(
    supervisor: Supervisor, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    def act(heartbeat: Heartbeat, n: int) -> None:
        raise RuntimeError("again")

    def missed(n: int) -> bool:
        supervisor.step()
        return supervisor.restarts == n

    worker = Starts(act)
    supervisor.start("camera", worker.run)
    for n in range(1, 13):
        until(partial(missed, n))
        clock.advance(30)
        supervisor.step()
        worker.wait(n + 1)
    pauses = [message.rpartition(" in ")[2] for message in caplog.messages]
    assert pauses[:2] == ["0.1 s", "0.2 s"]
    assert pauses[9:12] == ["30.0 s"] * 3


def test_a_hung_worker_is_abandoned_and_replaced(supervisor: Supervisor, clock: FakeClock) -> None:
    reasons: list[str] = []
    woken = threading.Event()
    worker = Starts(lambda heartbeat, n: woken.wait(WAIT_S))
    supervisor.start("inspection", worker.run, reasons.append)
    worker.wait(1)
    clock.advance(10.5)
    supervisor.step()
    assert worker.heartbeats[0].stopping
    assert reasons == ["no sign of life for 10 s"]
    clock.advance(1)
    supervisor.step()
    worker.wait(2)
    assert not worker.heartbeats[1].stopping
    woken.set()


def test_an_abandoned_worker_that_wakes_up_does_not_finish_its_replacement(
    supervisor: Supervisor, clock: FakeClock
) -> None:
    woken, ended = threading.Event(), threading.Event()

    def act(heartbeat: Heartbeat, n: int) -> None:
        (woken if n == 1 else ended).wait(WAIT_S)

    worker = Starts(act)
    supervisor.start("sink", worker.run)
    worker.wait(1)
    clock.advance(11)
    supervisor.step()
    clock.advance(1)
    supervisor.step()
    worker.wait(2)
    woken.set()
    worker.heartbeats[1].beat()
    supervisor.step()
    assert not supervisor.finished("sink")
    ended.set()


def test_a_worker_that_returns_is_finished_and_not_started_again(
    supervisor: Supervisor, clock: FakeClock
) -> None:
    worker = Starts(lambda heartbeat, n: None)
    supervisor.start("replay", worker.run)
    for _ in range(1000):
        if supervisor.finished("replay"):
            break
        threading.Event().wait(0.005)
    clock.advance(100)
    supervisor.step()
    assert supervisor.finished("replay")
    assert len(worker.heartbeats) == 1


def test_a_worker_that_beats_is_not_replaced(supervisor: Supervisor, clock: FakeClock) -> None:
    stop = threading.Event()
    worker = Starts(lambda heartbeat, n: stop.wait(WAIT_S))
    supervisor.start("camera", worker.run)
    worker.wait(1)
    for _ in range(5):
        clock.advance(9)
        worker.heartbeats[0].beat()
        supervisor.step()
    assert (len(worker.heartbeats), supervisor.restarts) == (1, 0)
    stop.set()


def test_after_too_many_hung_workers_the_process_must_be_restarted(
    supervisor: Supervisor, clock: FakeClock
) -> None:
    woken = threading.Event()
    worker = Starts(lambda heartbeat, n: woken.wait(WAIT_S))
    supervisor.start("inspection", worker.run)
    for n in range(MOST_ABANDONED):
        worker.wait(n + 1)
        assert supervisor.exhausted == ""
        clock.advance(60)
        supervisor.step()
        clock.advance(60)
        supervisor.step()
    assert supervisor.exhausted.startswith(f"{MOST_ABANDONED} workers hang")
    woken.set()


def test_an_abandoned_worker_that_woke_up_and_ended_does_not_count(
    supervisor: Supervisor, clock: FakeClock
) -> None:
    woken = threading.Event()
    worker = Starts(lambda heartbeat, n: woken.wait(WAIT_S))
    supervisor.start("inspection", worker.run)
    worker.wait(1)
    clock.advance(11)
    supervisor.step()
    assert supervisor.abandoned == 1
    woken.set()
    until(lambda: supervisor.abandoned == 0)


def test_a_failing_on_lost_callback_does_not_stop_the_supervisor(
    supervisor: Supervisor, clock: FakeClock
) -> None:
    done = threading.Event()

    def fail(reason: str) -> None:
        raise RuntimeError("the model does not load")

    def act(heartbeat: Heartbeat, n: int) -> None:
        if n == 1:
            raise RuntimeError("the driver is gone")
        done.wait(WAIT_S)

    worker = Starts(act)
    supervisor.start("inspection", worker.run, fail)
    settle(supervisor, 2, worker, clock)
    done.set()


def test_those_asked_to_stop_are_not_replaced(supervisor: Supervisor, clock: FakeClock) -> None:
    def act(heartbeat: Heartbeat, n: int) -> None:
        while not heartbeat.stopping:
            threading.Event().wait(0.005)

    worker = Starts(act)
    supervisor.start("camera", worker.run)
    worker.wait(1)
    supervisor.stop()
    assert supervisor.join(WAIT_S) == []
    clock.advance(100)
    supervisor.step()
    assert len(worker.heartbeats) == 1
