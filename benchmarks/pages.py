"""What open pages cost a station, how late a verdict is on them, and how long a search takes.

A station inspects the held-out frames of a recipe at a usual rate, in turns without a page and with
ten, each of which asks for pictures as often as a page does. The clients are a process of their
own. All figures of a run are taken in the same minutes; compare them with one another. Needs
`make repro`; with Chromium and selenium the delay is taken on the screen, too.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.ledger import STATION, fill
from pipeline.contracts.bundle import open_bundle
from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.build import FixedModel, OpenedCamera, put_together
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.settings.http import Http
from pipeline.daemon.settings.line import Line, ModelSource
from pipeline.daemon.sources import replay
from pipeline.daemon.web.records import KeptRecords
from pipeline.daemon.web.server import Web
from pipeline.inference.inspector import Inspector
from pipeline.inference.trial import warm_up
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.queries import RecordFilter

LARGE_EVERY_S, SMALL_EVERY_S = 0.5, 0.3  # as the page asks for pictures
NEWS = b"event: parts"
PART = re.compile(rb'"id": "([^"]+)"')
ON_SCREEN = """
window.seen = {};
new MutationObserver((changes) => {
  for (const { addedNodes } of changes)
    for (const node of addedNodes) window.seen[node.id.replace('strip-', '')] = Date.now() / 1000;
}).observe(document.getElementById('strip'), { childList: true });
"""

console = Console()


class Parts:
    """When each part was committed, and its latency, of the present round."""

    def __init__(self) -> None:
        self.committed: dict[str, tuple[float, float]] = {}  # on the monotonic clock, time of day
        self.latencies: list[float] = []
        self.refused = 0

    def add(self, record: Record, frame: object) -> None:
        """One more record; called in the inspection thread."""
        self.committed[record.id] = time.monotonic(), time.time()
        if record.verdict is Verdict.NOT_INSPECTED:
            self.refused += 1
        elif record.latency_ms is not None:
            self.latencies.append(record.latency_ms)


def main() -> None:
    """Measure and print a table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--recipe", default="solar-cell")
    asked.add_argument("--pages", type=int, default=10)
    asked.add_argument("--rate-hz", type=float, default=20)
    asked.add_argument("--seconds", type=float, default=15, help="of each round")
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--records", type=int, default=1_000_000, help="to search among; 0: none")
    asked.add_argument("--follow", type=int, metavar="PORT", help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.follow is not None:
        follow(given.follow, given.pages, given.seconds)
        return
    table = Table("measured", "found")
    _pages(table, given)
    if given.records:
        _searches(table, given.records)
    console.print(table)


def _pages(table: Table, given: argparse.Namespace) -> None:
    costs, delays, without, beside = [], list[float](), list[float](), list[float]()
    with tempfile.TemporaryDirectory() as folder, _station(given, Path(folder)) as (port, parts):
        time.sleep(3)  # until the first of every kind is over
        for _ in range(given.rounds):
            alone = _round(parts, given.seconds)
            without += parts.latencies
            until_s = str(given.seconds + 4)
            options = ("--follow", str(port), "--pages", str(given.pages), "--seconds", until_s)
            clients = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.pages", *options], stdout=subprocess.PIPE
            )
            time.sleep(2)
            costs.append(_round(parts, given.seconds) - alone)
            beside += parts.latencies
            arrived = json.loads(clients.communicate()[0])
            delays += [
                at - parts.committed[i][0] for i, at in arrived.items() if i in parts.committed
            ]
        on_screen = _on_screen(port, parts, given.seconds)
        refused = parts.refused
    table.add_row(f"cost of {given.pages} pages", f"{statistics.median(costs):.1%} of a core")
    table.add_row("commit to arrival of the event, p50, p95", _shown(delays))
    table.add_row("commit to screen (Chromium), p50, p95", _shown(on_screen))
    for share in (50, 99):
        ratio = np.percentile(beside, share) / np.percentile(without, share)
        table.add_row(f"latency of a verdict with pages / without, p{share}", f"{ratio:.3f}")
    table.add_row("parts not inspected", str(refused))


def _round(parts: Parts, seconds: float) -> float:
    """Share of a core that this process takes for so long."""
    parts.latencies = []
    began_s, cpu_s = time.monotonic(), time.process_time()
    time.sleep(seconds)
    return (time.process_time() - cpu_s) / (time.monotonic() - began_s)


def _shown(delays_s: Sequence[float]) -> str:
    if not delays_s:
        return "not measured"
    p50, p95 = np.percentile(delays_s, (50, 95)) * 1e3
    return f"{p50:.0f} ms, {p95:.0f} ms"


@contextmanager
def _station(given: argparse.Namespace, folder: Path) -> Iterator[tuple[int, Parts]]:
    """A station at work; yields the port of its pages."""
    clock, parts = Clock(), Parts()
    home = Path("data") / given.recipe / "evaluate"
    inspector = Inspector(open_bundle(home / "bundle"))
    warm_up(inspector)
    source = replay.Config(type="replay", path=home / "held_out", rate_hz=given.rate_hz, loop=True)
    line = Line(
        station="bench",
        recipe=given.recipe,
        model=ModelSource(cache=folder / "models"),
        source=source,
        ledger=folder / "ledger.sqlite",
    )
    with closing(Ledger(line.ledger, line.station)) as ledger:
        camera = OpenedCamera(line.all_cameras[0], source.open(clock), None)
        model = FixedModel(inspector, "bench/1", clock.now())
        station = put_together(line, [camera], model, ledger, clock)
        with closing(Web(Http(port=0, open_on_loopback=True), station, None)) as web:
            station.add_workers(web)
            station.recorder.subscribe(parts.add)
            stop = threading.Event()
            thread = threading.Thread(target=station.run, args=(stop,))
            thread.start()
            try:
                yield web.port, parts
            finally:
                stop.set()
                thread.join()


def follow(port: int, pages: int, seconds: float) -> None:
    """Be some pages for so long, and print when each part arrived at the first of them."""
    arrived: dict[str, float] = {}
    news = 0
    waiting = selectors.DefaultSelector()
    for number in range(pages):
        page = socket.create_connection(("127.0.0.1", port))
        page.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        waiting.register(page, selectors.EVENT_READ, number)
    until_s = time.monotonic() + seconds
    for size, every_s in (("large", LARGE_EVERY_S), ("small", SMALL_EVERY_S)):
        threading.Thread(
            target=_pictures, args=(port, pages, arrived, size, every_s), daemon=True
        ).start()
    while time.monotonic() < until_s:
        for key, _ in waiting.select(0.05):
            assert isinstance(key.fileobj, socket.socket)
            data = key.fileobj.recv(1 << 20)
            if key.data == 0:
                news += NEWS in data
                # What the snapshot holds was there before the page.
                data = data[data.find(NEWS) :] if news == 1 and NEWS in data else data
                for found in PART.findall(data) if news else ():
                    arrived.setdefault(found.decode(), time.monotonic())
    print(json.dumps(arrived))


def _pictures(port: int, pages: int, arrived: dict[str, float], size: str, every_s: float) -> None:
    """Ask for the picture of the newest part as each page does."""
    while True:
        time.sleep(every_s)
        newest = next(reversed(arrived), None)
        for _ in range(pages if newest else 0):
            with closing(HTTPConnection("127.0.0.1", port)) as connection:
                connection.request("GET", f"/api/v1/records/{newest}/picture?size={size}")
                connection.getresponse().read()


def _on_screen(port: int, parts: Parts, seconds: float) -> list[float]:
    """Seconds from the commit of each part to its tile on a page in Chromium; none without it."""
    try:
        from selenium import webdriver
    except ModuleNotFoundError:
        return []
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        return []
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,800"):
        options.add_argument(flag)
    browser: Any = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        browser.get(f"http://127.0.0.1:{port}/")
        time.sleep(2)
        browser.execute_script(ON_SCREEN)
        time.sleep(seconds)
        seen = browser.execute_script("return window.seen")
    finally:
        browser.quit()
    return [at - parts.committed[i][1] for i, at in seen.items() if i in parts.committed]


def _searches(table: Table, records: int) -> None:
    """Each search of a page in a ledger of so many records, the slowest of three."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        fill(path, records)
        archive = KeptRecords(path, STATION, None)
        for name, wanted in (
            ("all", RecordFilter()),
            ("FAIL", RecordFilter(verdict=Verdict.FAIL)),
            ("a verdict that none has", RecordFilter(verdict=Verdict.REVIEW)),
            ("a class that none has", RecordFilter(part_class="crack")),
            ("a reason that none has", RecordFilter(reason="no such reason")),
            ("a serial", RecordFilter(serial="part-77777")),
        ):
            times_s = []
            for _ in range(3):
                began_s = time.perf_counter()
                found = archive.search(wanted, 48, within_s=0.2)
                times_s.append(time.perf_counter() - began_s)
            rest = f", searched to {found.searched_to[:16]}" if found.searched_to else ""
            table.add_row(
                f"search among {records:,} records: {name}",
                f"{max(times_s) * 1e3:.0f} ms, {len(found.records)} found{rest}",
            )


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    main()
