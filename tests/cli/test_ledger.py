"""`lineside ledger`: the upkeep of a station's ledger."""

from __future__ import annotations

from pathlib import Path

from pipeline.daemon.settings.line import Line
from tests.cli.test_audit import Command, command, line
from tests.ledger.upkeep.test_integrity import fill, first_leaf_of_records

__all__ = ["command", "line"]


def test_recover_names_the_file_that_is_kept_and_what_to_do_next(
    command: Command, line: Line, tmp_path: Path
) -> None:
    fill(line.ledger)
    first_leaf_of_records(line.ledger)
    code, found, _ = command("ledger recover")
    assert code == 0
    (kept,) = line.ledger.parent.glob("*.damaged-*")
    assert kept.name in found
    assert "shows the records that are missing" in found
    assert "--replay SINK --since" in found


def test_recover_leaves_a_whole_ledger_alone(command: Command, line: Line) -> None:
    fill(line.ledger, 5)
    code, _, problem = command("ledger recover")
    assert code == 2
    assert "there is nothing to recover" in problem
