"""`lineside review`: what waits, and a review given."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.daemon.settings.line import Line
from tests.ledger.review.test_reviews import ids, judged

__all__ = ["judged"]


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def review(
    judged: Line,
    line_file: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Run `lineside review LINE.yaml`; returns exit code, stdout and stderr."""
    path = line_file()
    path.write_text(f"{path.read_text()}keep:\n  folder: {judged.keep and judged.keep.folder}\n")

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["lineside", "review", str(path), *arguments])
        code: object = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        said = capsys.readouterr()
        assert isinstance(code, int)
        return code, said.out, said.err

    return call


def test_command_lists_what_waits_with_the_path_of_each_frame(review: Run, judged: Line) -> None:
    code, said, _ = review("--list")
    assert code == 0
    assert ids(judged)["b_bad.png"] in said
    assert "tray/d_doubt.png" in said
    assert "a_good.png" not in said
    named = [Path(line.split(": ")[0].strip()) for line in said.splitlines()[1::2]]
    assert [path.is_file() for path in named] == [True, True]


def test_command_lists_as_json(review: Run) -> None:
    code, said, _ = review("--list", "--json")
    assert code == 0
    assert [r["verdict"] for r in json.loads(said)] == ["REVIEW", "FAIL"]


@pytest.mark.parametrize("option", ["--record", "--class", "--reviewer", "--comment"])
def test_command_neither_lists_nor_reviews_when_asked_for_both(review: Run, option: str) -> None:
    code, said, complaint = review("--list", option, "x")
    assert (code, said) == (2, "")
    assert "--list takes no review; leave it out to give one" in complaint


def test_command_takes_a_review_and_reports_what_counts(review: Run, judged: Line) -> None:
    part = ids(judged)["b_bad.png"]
    arguments = ("--record", part, "--reviewer", "A. Weber", "--class")
    assert review(*arguments, "good") == (
        *(0, "b_bad.png: good (A. Weber); the station: FAIL defective\n", ""),
    )
    code, said, _ = review(*arguments, "defective", "--comment", "a crack after all")
    assert (code, "this is review 2 of the part; the last one counts" in said) == (0, True)
    assert part not in review("--list")[1]


def test_command_reports_that_a_part_without_a_frame_teaches_nothing(
    review: Run, judged: Line
) -> None:
    part = ids(judged)["a_good.png"]
    code, said, _ = review("--record", part, "--class", "good", "--reviewer", "A. Weber")
    assert code == 0
    assert "no frame of this part was kept" in said


def test_command_with_half_of_what_it_needs_names_what_is_missing(review: Run) -> None:
    code, said, complaint = review("--class", "good")
    assert (code, said) == (2, "")
    assert "give --record, --class and --reviewer; --list shows what waits" in complaint


def test_command_with_a_wrong_class_ends_with_one_message(review: Run, judged: Line) -> None:
    part = ids(judged)["b_bad.png"]
    code, _, complaint = review("--record", part, "--class", "dent", "--reviewer", "A. Weber")
    assert code == 2
    assert 'class "dent" is not in the taxonomy' in complaint
    assert "Traceback" not in complaint
