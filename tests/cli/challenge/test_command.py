"""`lineside challenge`: start a run, show its protocol."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.contracts.records import ChallengePart, Record, Verdict
from pipeline.ledger.challenge.runs import end, take_up
from pipeline.ledger.ledger import Ledger

AT = datetime(2026, 11, 28, 6, 0, tzinfo=UTC)
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def challenge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run `lineside challenge LINE.yaml`; returns exit code and both outputs."""
    path = tmp_path / "line.yaml"
    path.write_text(
        f"station: west-1\nrecipe: cells\nmodel: {{cache: {tmp_path}/m}}\nsource: {{type: push}}\n"
        f"ledger: {tmp_path}/ledger.sqlite\nchallenge:\n  parts:\n"
        "    - {serial: RR-1, verdict: FAIL}\n    - {serial: G-1, verdict: PASS}\n"
    )

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["lineside", "challenge", str(path), *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        found = capsys.readouterr()
        return int(ended.value.code or 0), found.out + found.err

    return run


def test_a_run_is_started_and_its_protocol_shown(challenge: Run, tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / "ledger.sqlite", "west-1")) as ledger:
        code, text = challenge("start", "--by", "anna")
        assert (code, "run 1" in text, "anna: open" in text) == (0, True, True)
        with ledger.writing() as db:
            take_up(db, 1, 0.0, "cells/3")
        for part, (serial, verdict) in enumerate((("RR-1", "PASS"), ("G-1", "PASS"))):
            identity = ledger.open_record(AT, serial, "top", ChallengePart(1, part))
            record = Record(identity, "west-1", AT.isoformat(), serial, Verdict(verdict), "")
            ledger.close_record(record)
        with ledger.writing() as db:
            end(db, 1, AT, 60.0, False, "RR-1 must be FAIL and was PASS")
        code, text = challenge("show", "--json")
    (protocol,) = json.loads(text)
    assert (protocol["passed"], protocol["started_by"]) == (False, "anna")
    assert [(p["serial"], p["expected"], p["seen"]) for p in protocol["parts"]] == [
        ("RR-1", "FAIL", "PASS"),
        ("G-1", "PASS", "PASS"),
    ]
    _, text = challenge("show", "--run", "1")
    assert "FAILED: RR-1 must be FAIL and was PASS" in " ".join(text.split())


def test_of_two_who_start_the_second_learns_who_was_first(challenge: Run, tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / "ledger.sqlite", "west-1")):
        challenge("start", "--by", "anna")
        code, text = challenge("start", "--by", "ben")
    assert code == 2
    assert "challenge run 1 of anna is open" in " ".join(text.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("stop",), "choose start, show"),
        (("start",), "--by is empty"),
        (("start", "--by", "anna"), "does not run"),
    ],
)
def test_a_mistake_is_named_with_what_to_do(
    challenge: Run, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    Ledger(tmp_path / "ledger.sqlite", "west-1").close()
    code, text = challenge(*arguments)
    assert code != 0
    assert message in " ".join(text.split())
