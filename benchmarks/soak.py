"""Does a station's memory grow with the frames that it has judged?

Frames are replayed flat out through a station with a sink, kept frames and a ledger on the disk.
Exit code 1 when memory grows by more than `MOST_MB` in 10,000 frames after the warm-up, or when the
account does not balance. Needs `make repro`, but not with `--tiny`.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console

from pipeline.contracts.bundle import Bundle, open_bundle
from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.build import FixedModel, open_cameras, put_together
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.settings.line import Keep, Line, ModelSource
from pipeline.daemon.sinks import jsonl
from pipeline.daemon.sources import replay
from pipeline.daemon.station import Station
from pipeline.imaging import codec
from pipeline.inference.inspector import Inspector
from pipeline.inference.trial import warm_up
from pipeline.ledger.ledger import Ledger

MOST_MB = 1.0  # in 10,000 frames
WARM_UP_SHARE = 0.2  # of the frames: caches fill, the allocator finds its size
MEGABYTE = 1e6

console = Console()


@dataclass
class Memory:
    """The process's resident memory, noted every so many frames.

    Attributes:
        every: frames from one sample to the next.
        enough: frames after which `over` is set.
        samples: pairs of frames judged and megabytes (10^6 bytes).
    """

    every: int
    enough: int
    over: threading.Event = field(default_factory=threading.Event)
    samples: list[tuple[int, float]] = field(default_factory=list)
    frames: int = 0

    def note(self, record: Record) -> None:
        """One more frame has its record."""
        self.frames += 1
        if self.frames % self.every == 0:
            self.samples.append((self.frames, resident_mb()))
            if len(self.samples) % 10 == 0:
                at, megabytes = self.samples[-1]
                console.print(f"{at:>9,} frames  {megabytes:.1f} MB", highlight=False)
        if self.frames >= self.enough:
            self.over.set()

    @property
    def slope_mb(self) -> float:
        """Megabytes in 10,000 frames after the warm-up: the straight line of least squares."""
        warm = [s for s in self.samples if s[0] > WARM_UP_SHARE * self.enough]
        frames, megabytes = np.array(warm).T
        return float(np.polyfit(frames / 10_000, megabytes, 1)[0])


def main() -> None:
    """Replay, and print what memory did."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--frames", type=int, default=100_000)
    asked.add_argument("--every", type=int, default=1000, help="frames between two samples")
    asked.add_argument("--recipe", default="solar-cell")
    asked.add_argument("--tiny", action="store_true", help="a tiny network and four tiny pictures")
    given = asked.parse_args()
    if given.frames < 5 * given.every:
        asked.error(f"--frames {given.frames} gives too few samples; 5 times --every at least")
    with tempfile.TemporaryDirectory(prefix="lineside-soak-") as folder:
        home = Path(folder)
        bundle, shown = _tiny(home) if given.tiny else _real(Path("data") / given.recipe)
        sys.exit(0 if soaked(home, bundle, shown, Memory(given.every, given.frames)) else 1)


def soaked(home: Path, bundle: Bundle, shown: Path, memory: Memory) -> bool:
    """Replay the pictures of a folder; returns whether memory and account are as they should be."""
    started = time.perf_counter()
    with _station(home, bundle, shown) as (station, ledger):
        summary = station.run(memory.over, memory.note)
        ledger_mb = ledger.path.stat().st_size / MEGABYTE
    seconds = time.perf_counter() - started
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEGABYTE
    counts = " + ".join(f"{summary.verdicts[v]:,} {v}" for v in Verdict)
    holds = summary.balances and summary.triggers >= memory.enough
    told = (
        f"frames       {summary.triggers:,} of {bundle.provenance.recipe} in {seconds:.0f} s, "
        f"{summary.rate_hz:.0f} a second",
        f"account      {summary.triggers:,} = {counts}: {'holds' if holds else 'DOES NOT HOLD'}",
        f"memory       {memory.slope_mb:+.3f} MB in 10,000 frames after the first "
        f"{WARM_UP_SHARE:.0%} (limit {MOST_MB:g})",
        f"resident     {memory.samples[-1][1]:.1f} MB at the end, {peak_mb:.1f} MB at most",
        f"ledger       {ledger_mb:.1f} MB, {ledger_mb / summary.triggers * 1e6:.0f} bytes a frame",
    )
    console.print("\n".join(told), highlight=False)
    return holds and memory.slope_mb <= MOST_MB


@contextmanager
def _station(home: Path, bundle: Bundle, shown: Path) -> Iterator[tuple[Station, Ledger]]:
    """A station that replays a folder for ever, flat out."""
    clock = Clock()
    line = Line(
        station="soak",
        recipe=bundle.provenance.recipe,
        model=ModelSource(cache=home / "models"),
        source=replay.Config(type="replay", path=shown, loop=True),
        sinks=(jsonl.Config(type="jsonl", folder=home / "told"),),
        keep=Keep(folder=home / "kept", pass_share=0.01, quota_gb=0.1),
        ledger=home / "ledger.sqlite",
    )
    inspector = Inspector(bundle)
    warm_up(inspector)
    outboxes = {sink.outbox: sink.verdicts for sink in line.sinks}
    with closing(Ledger(line.ledger, line.station, outboxes)) as ledger:
        model = FixedModel(inspector, "soak/1", clock.now())
        yield put_together(line, open_cameras(line, clock), model, ledger, clock), ledger


def _real(recipe: Path) -> tuple[Bundle, Path]:
    folder = recipe / "evaluate"
    return open_bundle(folder / "bundle"), folder / "held_out"


def _tiny(home: Path) -> tuple[Bundle, Path]:
    """The bundle of the tests, and a part of each kind."""
    from tests.conftest import _seal_bundle
    from tests.daemon.conftest import picture

    shown = home / "shown"
    shown.mkdir()
    for shade in (200, 128, 50):
        (shown / f"{shade}.png").write_bytes(codec.encode_png(picture(shade)))
    (shown / "damaged.png").write_bytes(b"\x89PNG and then nothing")
    return _seal_bundle(home / "bundle"), shown


def resident_mb() -> float:
    """Of this process, in megabytes (10^6 bytes)."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize() / MEGABYTE


if __name__ == "__main__":
    main()
