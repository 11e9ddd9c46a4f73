"""Progress of a running station: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from pipeline.cli.times import shown
from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.station import Summary

PLAIN_EVERY_S = 10.0
COLOURS = {
    Verdict.PASS: "green",
    Verdict.FAIL: "red",
    Verdict.REVIEW: "yellow",
    Verdict.NOT_INSPECTED: "magenta",
}


class Progress:
    """Counts records and shows the count: on each record live, every ten seconds in a log."""

    def __init__(self, console: Console, status: Status | None, clock: Clock) -> None:
        self._console = console
        self._clock = clock
        self._status = status
        self._counters: Counter[Verdict] = Counter()
        self._next_s = clock.monotonic_s()

    def show(self, record: Record) -> None:
        """Take one more record into account."""
        self._counters[record.verdict] += 1
        if self._status is not None:
            colour = COLOURS[record.verdict]
            self._status.update(
                f"[{colour}]{record.verdict:<13}[/] {escape(record.serial)}  {self._counts()}"
            )
        elif (now_s := self._clock.monotonic_s()) >= self._next_s:
            self._next_s = now_s + PLAIN_EVERY_S
            self._console.print(
                f"{shown(record.captured_at)} {self._counts()}", markup=False, highlight=False
            )

    def _counts(self) -> str:
        counts = "  ".join(f"{v} {self._counters[v]}" for v in Verdict)
        return f"{self._counters.total()} inspected: {counts}"


@contextmanager
def progress(console: Console, clock: Clock) -> Iterator[Progress]:
    """A live line for as long as the block runs, if there is a terminal."""
    if console.is_terminal:
        with console.status("waiting for the first frame") as status:
            yield Progress(console, status, clock)
    else:
        yield Progress(console, None, clock)


def summary_table(summary: Summary) -> Table:
    """Summary of a run: count of each verdict, speed, model and ledger."""
    table = Table(title=f"station {summary.station}", title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_row("triggers", str(summary.triggers))
    for verdict, colour in COLOURS.items():
        table.add_row(f"[{colour}]{verdict}[/]", str(summary.verdicts[verdict]))
    holds = "yes" if summary.balances else "[red]NO: see the ledger[/]"
    table.add_row("every trigger has one verdict", holds)
    table.add_row("rate", f"{summary.rate_hz:.1f} frames a second")
    if summary.latency_ms_p50 is not None and summary.latency_ms_p99 is not None:
        p50, p99 = summary.latency_ms_p50, summary.latency_ms_p99
        table.add_row("trigger to verdict", f"p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    table.add_row("model", escape(summary.model_version or "none, it was withdrawn"))
    table.add_row("ledger", escape(str(summary.ledger)))
    return table
