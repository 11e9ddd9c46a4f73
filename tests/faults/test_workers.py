"""Workers that hang or die: replaced, with the part that was at work accounted for."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.faults.conftest import DEADLINE_S, SOAK, Plant, lines_of
from tests.faults.test_load import SLOW

pytestmark = pytest.mark.slow

QUICK = {"hung_after_s": 1, "drain_s": 2}
# Python cannot end a thread, so ten that hang are many; in short, three are.
MOST = 10 if SOAK else 3

# The 20th frame is never done with.
HUNG_PREDICTOR = """
import itertools, threading, pipeline.inference.inspector as module
asked, inspect = itertools.count(1), module.Inspector.inspect
def hang(self, rgb):
    if next(asked) == 20:
        threading.Event().wait()
    return inspect(self, rgb)
module.Inspector.inspect = hang
"""
# The 20th frame is never done with inside ONNX Runtime: a graph whose loop does not end.
HUNG_IN_LIBRARY = """
import itertools, numpy, onnxruntime, pipeline.inference.inspector as module
from onnx import TensorProto, helper
flag = lambda name: helper.make_tensor_value_info(name, TensorProto.BOOL, [])
number = helper.make_tensor_value_info("number", TensorProto.INT64, [])
steps = [helper.make_node("Identity", [a], [b]) for a, b in (("on", "still"), ("x", "y"))]
body = helper.make_graph(steps, "body", [number, flag("on"), flag("x")], [flag("still"), flag("y")])
loop = helper.make_node("Loop", ["", "start", "start"], ["end"], body=body)
graph = helper.make_graph([loop], "endless", [flag("start")], [flag("end")])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
endless = onnxruntime.InferenceSession(model.SerializeToString())
asked, inspect = itertools.count(1), module.Inspector.inspect
def hang(self, rgb):
    if next(asked) == 20:
        endless.run(None, {"start": numpy.array(True)})
    return inspect(self, rgb)
module.Inspector.inspect = hang
"""
# Neither is any later one, those that a model is tried with when it is loaded again included.
ALWAYS_HUNG = f"""
{HUNG_PREDICTOR.replace("== 20", "> 20")}
import pipeline.daemon.runtime.supervisor, pipeline.daemon.station
pipeline.daemon.runtime.supervisor.MOST_ABANDONED = {MOST}
pipeline.daemon.station.RENEWED_WITHIN_S = 0
"""
# The first reader dies, the second hangs, the third does its work.
BAD_SOURCE = """
import itertools, threading, pipeline.daemon.sources.replay as module
opened, frames = itertools.count(1), module.Replay.frames
def bad(self, heartbeat):
    n = next(opened)
    for i, frame in enumerate(frames(self, heartbeat)):
        if n == 1 and i == 10:
            raise RuntimeError("the driver has fallen over")
        if n == 2 and i == 10:
            threading.Event().wait()
        yield frame
module.Replay.frames = bad
"""
# The second delivery never returns, nor does it arrive.
HUNG_SINK = """
import itertools, threading, pipeline.daemon.sinks.jsonl as module
asked, deliver = itertools.count(1), module.Jsonl.deliver
def hang(self, records):
    if next(asked) == 2:
        threading.Event().wait()
    return deliver(self, records)
module.Jsonl.deliver = hang
"""
# The 20th verdict takes this long to be written.
STALL_S = 2.5
STALLED_DISK = f"""
{SLOW}
import itertools, time, pipeline.ledger.ledger as module
asked, close_record = itertools.count(1), module.Ledger.close_record
def stall(self, record):
    if next(asked) == 20:
        time.sleep({STALL_S})
    return close_record(self, record)
module.Ledger.close_record = stall
"""
LOST = "reason LIKE 'inspection lost: no sign of life for %'"


def test_a_predictor_that_hangs_costs_one_part_and_is_replaced(
    plant: Plant, recovered: Callable[[str, float], None]
) -> None:
    station = plant.start(plant.line(supervision=QUICK), first=HUNG_PREDICTOR)
    station.wait_for(lambda: plant.book.count(LOST), "the part at work is given up")
    recovered("predictor replaced; next verdict", station.wait_for_more(1))
    station.wait_for_more(20)
    station.end()
    assert plant.book.count(LOST) == 1
    assert "inspection: no sign of life" in station.logged


def test_a_station_whose_predictor_hangs_in_its_library_ends_with_its_exit_code(
    plant: Plant,
) -> None:
    station = plant.start(plant.line(supervision=QUICK), first=HUNG_IN_LIBRARY)
    station.wait_for(lambda: plant.book.count(LOST), "the part at work is given up")
    station.wait_for_more(1)
    station.end()
    assert "terminate called" not in station.logged


def test_a_source_that_dies_or_hangs_is_opened_again(
    plant: Plant, recovered: Callable[[str, float], None]
) -> None:
    station = plant.start(plant.line(supervision=QUICK), first=BAD_SOURCE)
    events = "SELECT detail FROM events WHERE kind = ? ORDER BY at"
    station.wait_for(lambda: len(plant.book.ask(events, "camera lost")) == 2, "dead, then hung")
    recovered("source replaced; next verdict", station.wait_for_more(1))
    station.end()
    (dead,), (hung,) = plant.book.ask(events, "camera lost")
    assert dead == "camera: RuntimeError: the driver has fallen over"
    assert hung.startswith("camera: no sign of life for ")
    assert len(plant.book.ask(events, "camera connected")) == 3


def test_a_sink_that_hangs_is_opened_again_and_misses_no_record(
    plant: Plant, recovered: Callable[[str, float], None]
) -> None:
    sink = {"type": "jsonl", "folder": "delivered", "timeout_s": 0.5}
    station = plant.start(plant.line(supervision=QUICK, sinks=[sink]), first=HUNG_SINK)
    delivered = plant.home / "delivered"
    station.wait_for(lambda: lines_of(delivered), "the first delivery")
    station.wait_for(
        lambda: "sink jsonl: no sign of life" in station.logged, "the hung sink is seen"
    )
    at_work = plant.book.closed
    recovered("sink hangs; verdicts go on", station.wait_for_more(10))
    started = time.monotonic()
    station.wait_for(lambda: len(lines_of(delivered)) > at_work, "the outbox is taken up again")
    recovered("sink replaced; all delivered", time.monotonic() - started)
    station.end()
    closed = [identity for (identity,) in plant.book.ask("SELECT id FROM records ORDER BY seq")]
    assert [record["id"] for record in lines_of(delivered)] == closed


@pytest.mark.soak
def test_a_station_whose_model_hangs_even_when_loaded_again_ends_and_can_be_started_again(
    plant: Plant, recovered: Callable[[str, float], None]
) -> None:
    station = plant.start(plant.line(supervision=QUICK), first=ALWAYS_HUNG)
    station.wait_for(lambda: plant.book.count(LOST), "the first is given up")
    started = time.monotonic()
    assert station.process.wait(2 * DEADLINE_S) > 0
    recovered(f"{MOST} hung workers; process ended", time.monotonic() - started)
    assert "workers hang and cannot be ended; the process must be restarted" in " ".join(
        station.logged.split()  # as the terminal's width has broken them
    )
    assert "Traceback" not in station.logged
    plant.book.assert_balanced()
    assert plant.book.count(LOST) == 1
    again = plant.inspecting(plant.line())
    again.end()


@pytest.mark.soak
def test_a_disk_that_stalls_for_longer_than_a_worker_may_be_silent_stops_nothing(
    plant: Plant, recovered: Callable[[str, float], None]
) -> None:
    station = plant.start(plant.line(supervision=QUICK), first=STALLED_DISK)
    station.wait_for(lambda: "inspection: no sign of life" in station.logged, "given up")
    recovered("disk stalls; next verdict", station.wait_for_more(1))
    time.sleep(STALL_S)  # until the one that was given up comes back to life
    recovered("it comes back to life; next verdicts", station.wait_for_more(20))
    station.end()
    assert plant.book.count(LOST) == 0  # its verdict came late, but it came
