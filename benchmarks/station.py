"""What a station costs beyond the network: latency, sustained rate, and the cost of waiting.

What the station adds to a frame is the time from its trigger to its verdict without ONNX Runtime's
call and without decoding, both measured on that very frame, inside the station. The network alone
is that call on the same prepared frames, in the same process, at the same pace, and measured in
turns with the station. Needs `make repro`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from pipeline.contracts.bundle import Bundle, open_bundle
from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.build import FixedModel, OpenedCamera, put_together
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.settings.line import CameraSettings, Line, ModelSource
from pipeline.daemon.sources import replay
from pipeline.daemon.station import Station
from pipeline.imaging import codec
from pipeline.inference.inspector import Inspector
from pipeline.inference.predictor import session
from pipeline.inference.trial import warm_up
from pipeline.ledger.ledger import Ledger

WARM_UP = 10  # frames of each round, whose every step is the first of its kind
TRIES = 3  # of each round, until the station has refused no part

console = Console()


def main() -> None:
    """Measure and print a table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--recipe", default="solar-cell")
    asked.add_argument("--frames", type=int, default=400)
    asked.add_argument("--rate-hz", type=float, default=20)
    asked.add_argument("--rounds", type=int, default=3)
    given = asked.parse_args()
    folder = Path("data") / given.recipe / "evaluate"
    bundle = open_bundle(folder / "bundle")
    paths = sorted(p for p in (folder / "held_out").rglob("*") if p.suffix in codec.SUFFIXES)
    paths = (paths * (given.frames // len(paths) + 1))[: given.frames]
    console.print(f"{len(paths)} frames of {given.recipe}, {given.rounds} rounds", highlight=False)
    table = Table("measured", "network alone", "station", "difference or ratio")
    _latency(table, bundle, paths, given.rate_hz, given.rounds)
    _rate(table, bundle, paths, given.rounds)
    _idle(table, bundle)
    console.print(table)


def _latency(
    table: Table, bundle: Bundle, paths: Sequence[Path], rate_hz: float, rounds: int
) -> None:
    alone: list[float] = []
    whole: list[float] = []
    network: list[float] = []
    decode: list[float] = []
    done = 0
    for _ in range(rounds * TRIES):
        in_turn = _alone(bundle, paths, rate_hz)
        inspector = Inspector(bundle)
        graph = inspector.predictor._session
        with _noted(graph, "run") as calls, _noted(codec, "decode") as decodings:
            records, _ = _station(inspector, paths, rate_hz)
        if refused := Counter(r.reason for r in records if r.verdict is Verdict.NOT_INSPECTED):
            console.print(f"a round is measured again; parts were not inspected: {dict(refused)}")
            continue
        alone += in_turn
        whole += [r.latency_ms or 0.0 for r in records]
        network += calls[-len(paths) :]  # the first one was the warm-up
        decode += decodings
        done += 1
        if done == rounds:
            break
    else:
        raise SystemExit(f"{done} of {rounds} rounds without a refused part: use a quieter machine")
    beyond = np.array(whole) - network - decode
    beyond = beyond.reshape(rounds, -1)[:, WARM_UP:]
    for name, share in (("p50", 50), ("p99", 99)):
        of = partial(np.percentile, q=share)
        table.add_row(
            f"trigger to verdict at {rate_hz:g} Hz, {name}",
            f"{of(alone):.2f} ms",
            f"{of(whole):.2f} ms: network {of(network):.2f}, decoding {of(decode):.2f}",
            f"{of(beyond):.2f} ms beyond both",
        )


def _rate(table: Table, bundle: Bundle, paths: Sequence[Path], rounds: int) -> None:
    ratios: dict[str, list[float]] = {"network alone": [], "decode, prepare, network, decide": []}
    rates: list[float] = []
    inspector, images = Inspector(bundle), [codec.read(p) for p in paths]
    prepared = [inspector.preparation(i).images for i in images]
    graph = session(bundle.model)
    for _ in range(rounds):
        bare_s = _seconds(lambda x: graph.run(["logits", "embedding"], {"image": x}), prepared)
        loop_s = _seconds(lambda p: inspector.inspect(codec.read(p)), paths)
        _, station_s = _station(inspector, paths, 0)
        rates.append(len(paths) / station_s)
        ratios["network alone"].append(bare_s / station_s)
        ratios["decode, prepare, network, decide"].append(loop_s / station_s)
    rate = statistics.median(rates)
    for name, found in ratios.items():
        ratio = statistics.median(found)
        table.add_row(
            f"flat out, beside: {name}",
            f"{rate / ratio:.0f} frames/s",
            f"{rate:.0f} frames/s",
            f"{ratio:.0%} ({min(found):.0%} to {max(found):.0%})",
        )


def _idle(table: Table, bundle: Bundle, seconds: float = 10) -> None:
    with tempfile.TemporaryDirectory() as folder:
        picture = next(iter(sorted((bundle.folder.parent / "held_out").rglob("*.png"))))
        (Path(folder) / "one").mkdir()
        (Path(folder) / "one" / picture.name).write_bytes(picture.read_bytes())
        with _running(bundle, Path(folder), Path(folder) / "one", 0.01, loop=True):
            time.sleep(1)
            before = time.process_time()
            time.sleep(seconds)
            used = (time.process_time() - before) / seconds
    table.add_row("waiting for a trigger", "", f"{used:.1%} of a core", "")


def _alone(bundle: Bundle, paths: Sequence[Path], rate_hz: float) -> list[float]:
    """Milliseconds of ONNX Runtime's call for each frame, at a pace."""
    inspector, graph = Inspector(bundle), session(bundle.model)
    due = time.perf_counter()
    with _noted(graph, "run") as network:
        for path in paths:
            time.sleep(max(0.0, due - time.perf_counter()))
            due += 1 / rate_hz
            images = inspector.preparation(codec.read(path)).images
            graph.run(["logits", "embedding"], {"image": images})
    return network


@contextmanager
def _noted(owner: Any, name: str) -> Iterator[list[float]]:
    """Milliseconds of each call of a function of an object or a module, while the block runs."""
    spent: list[float] = []
    function = getattr(owner, name)

    def timed(*args: Any, **named: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*args, **named)
        finally:
            spent.append((time.perf_counter() - started) * 1e3)

    setattr(owner, name, timed)
    try:
        yield spent
    finally:
        setattr(owner, name, function)


def _station(
    inspector: Inspector, paths: Sequence[Path], rate_hz: float
) -> tuple[list[Record], float]:
    """The records of a station that was shown these frames, and the seconds that it took."""
    records: list[Record] = []
    with tempfile.TemporaryDirectory() as folder:
        shown = Path(folder) / "shown"
        shown.mkdir()
        for i, path in enumerate(paths):
            (shown / f"{i:06d}{path.suffix}").symlink_to(path.absolute())
        stop = threading.Event()
        with _assembled(inspector, Path(folder), shown, rate_hz) as made:
            started = time.perf_counter()
            summary = made.run(stop, records.append)
            seconds = time.perf_counter() - started
    assert summary.balances
    assert summary.triggers == len(paths)
    return records, seconds


@contextmanager
def _assembled(
    inspector: Inspector, folder: Path, shown: Path, rate_hz: float, *, loop: bool = False
) -> Iterator[Station]:
    clock = Clock()
    source = replay.Config(type="replay", path=shown, rate_hz=rate_hz, loop=loop)
    line = Line(
        station="bench",
        recipe=inspector.bundle.provenance.recipe,
        model=ModelSource(cache=folder / "models"),
        source=source,
        ledger=folder / "ledger.sqlite",
    )
    ledger = Ledger(line.ledger, line.station)
    warm_up(inspector)
    settings: CameraSettings = line.all_cameras[0]
    eye = OpenedCamera(settings, source.open(clock), None)
    try:
        yield put_together(
            line, [eye], FixedModel(inspector, "bench/1", clock.now()), ledger, clock
        )
    finally:
        ledger.close()


@contextmanager
def _running(
    bundle: Bundle, folder: Path, shown: Path, rate_hz: float, *, loop: bool
) -> Iterator[None]:
    with _assembled(Inspector(bundle), folder, shown, rate_hz, loop=loop) as station:
        stop = threading.Event()
        thread = threading.Thread(target=station.run, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _seconds(call: Callable[..., object], items: Sequence[object]) -> float:
    started = time.perf_counter()
    for item in items:
        call(item)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
