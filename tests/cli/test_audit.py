"""`lineside audit`: exit codes, a period in any zone, the records of one part."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.contracts.records import Verdict
from pipeline.daemon.settings.line import Line
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.listening import ListeningRows
from tests.ledger.test_audit import judge, ledger, line, tamper

__all__ = ["ledger", "line"]


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(
    tmp_path: Path,
    line: Line,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Run `lineside <name> line.yaml ...`; returns exit code, stdout and stderr."""

    def call(name: str, *arguments: str) -> tuple[int, str, str]:
        argv = ["lineside", *name.split(), str(tmp_path / "line.yaml"), *arguments]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call


def test_command_ends_with_0_where_the_equation_holds(command: Command, ledger: Ledger) -> None:
    judge(ledger, Verdict.FAIL)
    code, said, _ = command("audit")
    assert code == 0
    assert "every trigger received has one verdict │ yes" in said


def test_command_shows_when_nobody_listened_and_how_long_together(
    command: Command, ledger: Ledger
) -> None:
    rows, start = ListeningRows(ledger), datetime(2026, 1, 1, 6, tzinfo=UTC)
    rows.end(rows.begin("top", start), start, "the station was starting")
    row = rows.begin("top", start + timedelta(seconds=30))
    rows.end(row, start + timedelta(seconds=90), "the broker is away")
    _, found, _ = command("audit", "--until", "2026-01-01T06:02:00+00:00")
    assert "times not listening" in found
    assert "2, together 0:01:00" in found  # 30 s of each within the period
    assert "the station was starting" in found
    assert "the broker is away" in found


def test_command_ends_with_1_and_names_what_is_missing(
    command: Command, line: Line, ledger: Ledger
) -> None:
    for minute in range(5):
        judge(ledger, Verdict.FAIL, minute)
    tamper(line, "DELETE FROM records WHERE seq IN (2, 3)")
    code, said, _ = command("audit")
    assert code == 1
    assert "missing: records 2 to 3" in said
    code, said, _ = command("audit", "--json")
    assert (code, json.loads(said)["balances"], json.loads(said)["gaps"]) == (1, False, [[2, 3]])


def test_command_shows_all_records_of_a_part(command: Command, ledger: Ledger) -> None:
    ids = [judge(ledger, v, serial="[red]7") for v in (Verdict.REVIEW, Verdict.PASS)]
    code, said, _ = command("audit", "--serial", "[red]7")
    assert code == 0
    assert "part [red]7" in said
    assert all(i in said for i in ids)
    _, said, _ = command("audit", "--serial", "[red]7", "--json")
    assert [r["verdict"] for r in json.loads(said)] == ["REVIEW", "PASS"]
    assert command("audit", "--serial", "none")[0] == 1


def test_command_takes_a_period_in_any_zone(command: Command, ledger: Ledger) -> None:
    for minute in range(5):
        judge(ledger, Verdict.PASS, minute)
    period = ("--since", "2026-11-22T13:01+01:00", "--until", "2026-11-22T12:03")
    assert json.loads(command("audit", *period, "--json")[1])["triggers"] == 2


def test_command_shows_what_a_time_looks_like(command: Command, ledger: Ledger) -> None:
    code, _, said = command("audit", "--since", "yesterday")
    assert code == 2
    assert 'error: --since "yesterday" is not a time; write 2026-11-23' in said
