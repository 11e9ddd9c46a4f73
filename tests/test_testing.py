"""The fakes for plugin authors behave as the base classes promise."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from pipeline import testing
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sinks import SinkDown
from pipeline.testing import FakeClock, FakeSink, FakeSource
from tests.imports import imports, modules

PICTURE = np.zeros((2, 3, 3), np.uint8)


def test_waiting_on_a_fake_clock_moves_both_scales_and_takes_no_time() -> None:
    clock = FakeClock()
    at = clock.now()
    clock.wait(threading.Event(), 3600)
    assert clock.monotonic_s() == 3600
    assert (clock.now() - at).total_seconds() == 3600


def test_a_fake_source_yields_its_pictures_10_ms_apart_and_then_ends() -> None:
    clock = FakeClock()
    frames = list(FakeSource([PICTURE, ValueError("torn")], clock).frames(Heartbeat(clock)))
    assert [(f.serial, f.fault) for f in frames] == [("part-0", ""), ("part-1", "torn")]
    assert frames[1].captured_s - frames[0].captured_s == pytest.approx(0.01)


def test_a_fake_source_ends_when_its_worker_is_to_stop() -> None:
    heartbeat = Heartbeat(FakeClock())
    heartbeat.stop()
    assert list(FakeSource([PICTURE], heartbeat.clock).frames(heartbeat)) == []


def test_a_fake_sink_raises_its_failure_instead_of_taking_records() -> None:
    sink = FakeSink()
    sink.failure = SinkDown("away")
    with pytest.raises(SinkDown, match="away"):
        sink.deliver([])


def test_nothing_in_the_package_imports_the_fakes() -> None:
    users = [m for m, path in modules().items() if testing.__name__ in imports(path)]
    assert users == []
