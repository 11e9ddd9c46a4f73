"""A station with kept frames of parts, and the command that plans studies of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline import cli
from pipeline.contracts.bundle import Bundle
from pipeline.contracts.records import Verdict
from pipeline.daemon.settings.line import Keep, Line
from pipeline.imaging import codec
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.studies.folder import StudyFolder, open_study, studies_of
from tests.cli.conftest import champion, kept_model, line, line_file, parts, promoted
from tests.daemon.conftest import picture
from tests.ledger.studies.conftest import record

__all__ = ["champion", "kept_model", "line", "line_file", "parts", "promoted"]

Run = Callable[..., tuple[int, str, str]]
PEOPLE = ("A. Weber", "B. Kaya", "C. Rossi")
BEFORE = datetime.now(UTC) - timedelta(days=1)
# Score and verdict: clearly good, in doubt, clearly bad; the limits of the model are 0.2 and 0.5.
KINDS = ((0.01, Verdict.PASS), (0.3, Verdict.REVIEW), (0.99, Verdict.FAIL))


@pytest.fixture
def kept(line: Line, kept_model: Bundle, tmp_path: Path) -> Line:
    """A line whose station has kept frames of 18 parts: six of each of `KINDS`."""
    line = line.model_copy(update={"keep": Keep(folder=tmp_path / "kept")})
    (tmp_path / "kept").mkdir()
    with closing(Ledger(line.ledger, line.station)) as ledger:
        for i in range(18):
            score, verdict = KINDS[i % 3]
            image = f"{i}.png"
            (tmp_path / "kept" / image).write_bytes(codec.encode_png(picture(100 + i)))
            inspected = {
                "model_version": "cells/1",
                "part_class": "defective",
                "scores": {"good": 1 - score, "defective": score},
                "image": image,
            }
            record(ledger, f"SN-{i}", verdict, score, BEFORE, **inspected)
    return line


@pytest.fixture
def msa(
    kept: Line,
    line_file: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Run `lineside msa COMMAND LINE.yaml ...`; returns exit code, stdout and stderr."""
    path = line_file()
    path.write_text(f"{path.read_text()}keep:\n  folder: {kept.keep and kept.keep.folder}\n")

    def call(command: str, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["lineside", "msa", command, str(path), *arguments])
        code: Any = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        printed = capsys.readouterr()
        return int(code), printed.out, printed.err

    return call


def new(msa: Run, *more: str, parts: int = 12) -> tuple[int, str, str]:
    """Make a study of that many parts."""
    people = [word for name in PEOPLE for word in ("--appraiser", name)]
    return msa("new", "november", *people, "--parts", str(parts), "--seed", "7", *more)


def study_of(line: Line) -> StudyFolder:
    return open_study(studies_of(line.ledger, line.station), "november")
