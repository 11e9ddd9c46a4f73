"""What a person sees of a running station, on a terminal and in a log."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.cli.live.progress import PLAIN_EVERY_S, progress, summary_table
from pipeline.cli.times import shown
from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.station import Summary
from pipeline.testing import FakeClock

PASSED = Record("0199-a", "west-1", "2026-11-22T12:00:00+00:00", "part-1", Verdict.PASS, "")
FAILED = replace(PASSED, serial="[bold]part-2", verdict=Verdict.FAIL)
ENDED = Summary(
    station="west-1",
    model_version="cells/3",
    ledger=Path("/var/lib/[a]/ledger.sqlite"),
    triggers=7,
    verdicts={Verdict.PASS: 4, Verdict.FAIL: 2, Verdict.REVIEW: 0, Verdict.NOT_INSPECTED: 1},
    balances=True,
    seconds=2.0,
    latency_ms_p50=12.34,
    latency_ms_p99=56.78,
)


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def printed(summary: Summary) -> dict[str, str]:
    """The rows of the table: what, and its value."""
    out = io.StringIO()
    Console(file=out, width=120).print(summary_table(summary))
    rows = (line.strip("│").split("│") for line in out.getvalue().splitlines() if "│" in line)
    return {name.strip(): value.strip() for name, value in rows}


def test_a_log_gets_a_line_of_counts_every_ten_seconds(out: io.StringIO) -> None:
    clock = FakeClock()
    with progress(Console(file=out, width=120), clock) as seen:
        for record in (PASSED, FAILED, PASSED):
            seen.show(record)
        clock.advance(PLAIN_EVERY_S)
        seen.show(FAILED)
    assert out.getvalue().splitlines() == [
        f"{shown(PASSED.captured_at)} 1 inspected: PASS 1  FAIL 0  REVIEW 0  NOT_INSPECTED 0",
        f"{shown(PASSED.captured_at)} 4 inspected: PASS 2  FAIL 2  REVIEW 0  NOT_INSPECTED 0",
    ]


def on_a_terminal(*records: Record) -> str:
    """What stands there in the end: only that is drawn for certain, however busy the machine."""
    out = io.StringIO()
    console = Console(file=out, width=120, force_terminal=True, no_color=True)
    with progress(console, FakeClock()) as seen:
        for record in records:
            seen.show(record)
    return out.getvalue()


def test_a_terminal_shows_that_no_frame_has_come_yet() -> None:
    assert "waiting for the first frame" in on_a_terminal()


def test_a_terminal_shows_the_last_part_beside_the_counts() -> None:
    shown = on_a_terminal(PASSED, FAILED)
    assert "[bold]part-2  2 inspected: PASS 1  FAIL 1  REVIEW 0  NOT_INSPECTED 0" in shown


def test_the_summary_counts_each_verdict() -> None:
    rows = printed(ENDED)
    assert [rows[verdict] for verdict in Verdict] == ["4", "2", "0", "1"]
    assert rows["triggers"] == "7"


def test_the_summary_names_rate_latency_model_and_ledger() -> None:
    rows = printed(ENDED)
    assert rows["rate"] == "3.5 frames a second"
    assert rows["trigger to verdict"] == "p50 12.3 ms, p99 56.8 ms"
    assert (rows["model"], rows["ledger"]) == ("cells/3", "/var/lib/[a]/ledger.sqlite")


def test_the_summary_of_a_run_without_a_judged_part_has_no_latency() -> None:
    rows = printed(replace(ENDED, latency_ms_p50=None, latency_ms_p99=None, seconds=0.0))
    assert "trigger to verdict" not in rows
    assert rows["rate"] == "0.0 frames a second"


@pytest.mark.parametrize(("balances", "shown"), [(True, "yes"), (False, "NO: see the ledger")])
def test_the_summary_shows_whether_every_trigger_has_its_record(balances: bool, shown: str) -> None:
    assert printed(replace(ENDED, balances=balances))["every trigger has one verdict"] == shown
