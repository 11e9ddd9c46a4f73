"""The live view of a station that fills a terminal: `lineside run --watch`."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pipeline.cli.live.progress import COLOURS
from pipeline.cli.times import shown_of_day
from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.images.writer import StorageStatus
from pipeline.daemon.inspection.camera import CameraStatus
from pipeline.daemon.model.serving import ModelStatus
from pipeline.daemon.outbox.dispatcher import SinkStatus
from pipeline.daemon.station import Station
from pipeline.daemon.status import StationStatus
from pipeline.errors import hidden, printable

A_SECOND = 2  # pictures; each takes some milliseconds of the core that inspects
RATE_OVER_S = 10.0
LATENCIES = 1000
KEPT = 200  # records and messages: more than the tallest terminal shows
LEVELS = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red", "INFO": "cyan"}
GOOD, BAD, DIM = "green", "bold red", "dim"


class Watch(logging.Handler):
    """Remembers the last records and messages and draws them beside the station's state.

    Records and messages may come from any thread.
    """

    def __init__(self) -> None:
        super().__init__()
        self._station: Station | None = None
        self._records: deque[Record] = deque(maxlen=KEPT)
        self._messages: deque[tuple[str, str]] = deque(maxlen=KEPT)
        self._latencies: deque[float] = deque(maxlen=LATENCIES)
        self._seen: deque[tuple[float, int]] = deque()

    def follow(self, station: Station) -> None:
        """Show this station from now on."""
        self._station = station
        self._seen.clear()

    def show(self, record: Record) -> None:
        """Take one more record into account."""
        self._records.append(record)
        if record.latency_ms is not None and record.verdict is not Verdict.NOT_INSPECTED:
            self._latencies.append(record.latency_ms)

    def emit(self, record: logging.LogRecord) -> None:
        """Take one more message."""
        at = shown_of_day(datetime.fromtimestamp(record.created, UTC))
        text = printable(" ".join(hidden(record.getMessage()).split()))
        self._messages.append((record.levelname, f"{at} {text}"))

    def draw(self) -> RenderableType:
        """The station at this moment."""
        if self._station is None:
            return Text("starting ...")
        state = self._station.status()
        return page(
            state,
            rate_hz=self._rate(state),
            latencies_ms=tuple(self._latencies),
            records=tuple(self._records),
            messages=tuple(self._messages),
        )

    def _rate(self, state: StationStatus) -> float:
        """Closed records a second, over the last ten seconds."""
        now_s, closed = time.monotonic(), sum(state.verdicts.values())
        self._seen.append((now_s, closed))
        while now_s - self._seen[0][0] > RATE_OVER_S:
            self._seen.popleft()
        then_s, before = self._seen[0]
        return (closed - before) / (now_s - then_s) if now_s > then_s else 0.0


@contextmanager
def watching(console: Console, watch: Watch) -> Iterator[None]:
    """Fill the terminal with the view for as long as the block runs."""
    with Live(console=console, get_renderable=watch.draw, refresh_per_second=A_SECOND, screen=True):
        yield


def page(
    state: StationStatus,
    *,
    rate_hz: float,
    latencies_ms: tuple[float, ...],
    records: tuple[Record, ...],
    messages: tuple[tuple[str, str], ...],
) -> Layout:
    """The whole view, fitted to the size of the terminal.

    Args:
        state: of the station.
        rate_hz: closed records a second.
        latencies_ms: trigger to verdict of the last judged parts.
        records: the last closed records, oldest first.
        messages: level and text of the last messages, oldest first.
    """
    lines = len(_parts(state))
    layout = Layout()
    layout.split_column(
        Layout(_header(state), size=4),
        Layout(name="middle", size=max(9, min(lines, 12) + 2)),
        Layout(_Newest("last parts", _part_rows(records)), ratio=3),
        Layout(_Newest("messages", _message_rows(messages)), ratio=2),
    )
    layout["middle"].split_row(
        Layout(_verdicts(state, rate_hz, latencies_ms), size=35),
        Layout(_panel("station", Group(*_parts(state)))),
    )
    return layout


def _header(state: StationStatus) -> RenderableType:
    away = "; ".join(state.not_ready)
    grid = Table.grid(expand=True, padding=(0, 1))
    grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    grid.add_column(justify="right", no_wrap=True)
    name = Text.assemble((state.station, "bold"), (f"  {state.recipe}", ""))
    version = (state.model.version, "bold cyan") if state.model.version else ("no model", BAD)
    model = Text.assemble(version, ("  up ", DIM), _age(state))
    grid.add_row(name, model)
    if away:
        ready, border = Text(f"● NOT READY  {away}", BAD), "red"
    elif state.degraded:
        ready, border = Text(f"● DEGRADED  {state.degraded}", "bold yellow"), "yellow"
    else:
        ready, border = Text("● READY", "bold green"), "green"
    grid.add_row(ready, Text(f"waiting {state.waiting}  restarts {state.restarts}", DIM))
    return Panel(grid, border_style=border, padding=(0, 1))


def _verdicts(
    state: StationStatus, rate_hz: float, latencies_ms: tuple[float, ...]
) -> RenderableType:
    grid = Table.grid(expand=True, padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    total = sum(state.verdicts.values())
    for verdict, colour in COLOURS.items():
        n = state.verdicts.get(verdict, 0)
        share = f"{n / total:.1%}" if total else ""
        grid.add_row(Text(verdict, colour), Text(f"{n:,}", "bold"), Text(share, DIM))
    grid.add_row(Text("parts", DIM), Text(f"{rate_hz:.1f}", "bold"), Text("/ s", DIM))
    known = sorted(latencies_ms)
    for name, fraction in (("latency p50", 0.5), ("latency p99", 0.99)):
        latency = known[min(len(known) - 1, int(fraction * len(known)))] if known else None
        text = "" if latency is None else f"{latency:.1f}"
        grid.add_row(Text(name, DIM), Text(text, "bold"), Text("ms", DIM))
    return _panel("verdicts", grid)


def _parts(state: StationStatus) -> list[RenderableType]:
    """A line for each thing the station is made of; what has an alarm first."""
    rows = [_camera(c) for c in sorted(state.cameras, key=lambda c: c.connected)]
    rows += [_sink(s) for s in sorted(state.sinks, key=lambda s: s.up)]
    if state.storage is not None:
        rows.append(_storage(state.storage))
    if model := _model(state.model):
        rows.append(model)
    if reasons := sorted(state.reasons.items(), key=lambda kv: -kv[1]):
        rows.append(_row("not inspected", ", ".join(f"{n} {kind}" for kind, n in reasons)))
    return list(rows)


def _camera(camera: CameraStatus) -> Text:
    if not camera.connected:
        return _row(f"● camera {camera.name}", camera.alarm, BAD)
    age_s = camera.frame_age_s
    age = "no frame yet" if age_s is None else f"{age_s:.1f} s ago"
    again = f", {camera.reconnects} reconnects" if camera.reconnects else ""
    known = f", {camera.recognised:,} recognised" if camera.recognised else ""
    return _row(f"● camera {camera.name}", f"{camera.frames:,} frames, {age}{again}{known}", GOOD)


def _sink(sink: SinkStatus) -> Text:
    dead = f", {sink.dead:,} dead" if sink.dead else ""
    counts = f"{sink.due:,} due{dead}"
    if not sink.up:
        return _row(f"● sink {sink.name}", f"{counts}: {sink.alarm}", BAD)
    style = "yellow" if sink.dead else GOOD
    return _row(f"● sink {sink.name}", f"{sink.delivered:,} sent, {counts}", style)


def _storage(storage: StorageStatus) -> Text:
    if storage.alarm:
        return _row("● storage", storage.alarm, BAD)
    limit = "" if storage.quota_bytes is None else f" of {_size(storage.quota_bytes)}"
    left = "" if storage.days_left is None else f", {storage.days_left:.0f} days left"
    lost = f", {storage.left_out:,} left out" if storage.left_out else ""
    return _row("● storage", f"{_size(storage.kept_bytes)}{limit}{left}{lost}", GOOD)


def _model(model: ModelStatus) -> Text | None:
    if model.alarm:
        return _row("● model", model.alarm, "yellow")
    if not model.shadow:
        return None
    text = f"{model.disagreements:,} of {model.shadowed:,} differ"
    return _row(f"● shadow {model.shadow}", text, GOOD)


def _row(name: str, text: str, style: str = "") -> Text:
    row = Text(no_wrap=True, overflow="ellipsis")
    row.append(name, style)
    row.append(f"  {' '.join(text.split())}")
    return row


def _part_rows(records: Iterable[Record]) -> list[Text]:
    rows = []
    for r in records:
        row = Text(no_wrap=True, overflow="ellipsis")
        row.append(f"{shown_of_day(r.captured_at)} ", DIM)
        row.append(f"{r.verdict:<13} ", COLOURS[r.verdict])
        latency = "" if r.latency_ms is None else f"{r.latency_ms:.1f}"
        row.append(f"{latency:>7} ms  " if latency else " " * 12)
        row.append(" ".join(r.serial.split()) or "no serial", "bold")
        row.append(f"  {' '.join(r.reason.split())}", DIM)
        rows.append(row)
    return rows


def _message_rows(messages: Iterable[tuple[str, str]]) -> list[Text]:
    rows = []
    for level, text in messages:
        row = Text(no_wrap=True, overflow="ellipsis")
        at, _, message = text.partition(" ")
        row.append(f"{at} ", DIM)
        row.append(message, LEVELS.get(level, ""))
        rows.append(row)
    return rows


class _Newest:
    """A panel with as many of the last rows as there is room for, the newest above."""

    def __init__(self, title: str, rows: list[Text]) -> None:
        self._title = title
        self._rows = rows

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        height = options.height or 8
        rows = self._rows[-max(1, height - 2) :]
        yield _panel(self._title, Group(*reversed(rows)), height)


def _panel(title: str, what: RenderableType, height: int | None = None) -> Panel:
    return Panel(
        what, title=title, title_align="left", border_style=DIM, padding=(0, 1), height=height
    )


def _age(state: StationStatus) -> str:
    up = state.at - state.started_at
    return str(timedelta(days=up.days, seconds=up.seconds))


def _size(n_bytes: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} TB"
