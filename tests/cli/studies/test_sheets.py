"""Tables that people fill in: what is taken, and what is refused with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.cli.studies.sheets import given_references, take_sheet, write_sheet
from pipeline.errors import DataError
from pipeline.ledger.studies.folder import StudyFolder
from tests.contracts.test_study import plan
from tests.ledger.studies.conftest import folder, made

__all__ = ["folder"]

ANNA, KAYA, _ = plan().appraisers


def filled(folder: StudyFolder, path: Path, *answers: str, who: str = ANNA) -> Path:
    """An appraiser's list with its first answers filled in."""
    write_sheet(folder, who, path)
    head, *rows = path.read_text().splitlines()
    some = [row + answer for row, answer in zip(rows, answers, strict=False)]
    path.write_text("\n".join([head, *some, *rows[len(answers) :]]) + "\n")
    return path


def test_a_list_is_taken_as_far_as_it_is_filled_in_and_again_when_it_is_further(
    folder: StudyFolder, tmp_path: Path
) -> None:
    first = filled(folder, tmp_path / "a.csv", "good", "bad")
    text = first.read_text()
    assert take_sheet(folder, ANNA, first) == 2
    rows = text.splitlines()
    first.write_text("\n".join([*rows[:3], rows[3] + "good", rows[4]]))
    assert take_sheet(folder, ANNA, first) == 1
    assert [a.judgement for a in folder.appraisals(ANNA)] == ["good", "bad", "good"]
    write_sheet(folder, ANNA, first)
    assert [row.split(",")[0] for row in first.read_text().splitlines()] == ["position", "4"]


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        (("good", "fair"), r':3 answer "fair" is unknown; choose good, bad'),
        (("", "good"), "position 1 is next"),
    ],
)
def test_a_list_with_a_fault_is_refused_as_a_whole(
    folder: StudyFolder, tmp_path: Path, answers: tuple[str, ...], why: str
) -> None:
    path = filled(folder, tmp_path / "a.csv", *answers)
    with pytest.raises(DataError, match=why):
        take_sheet(folder, ANNA, path)
    assert folder.appraisals(ANNA) == []


def test_an_answer_that_was_taken_is_not_changed_by_another_list(
    folder: StudyFolder, tmp_path: Path
) -> None:
    path = filled(folder, tmp_path / "a.csv", "good")
    take_sheet(folder, ANNA, path)
    path.write_text(path.read_text().replace("good", "bad"))
    with pytest.raises(DataError, match="was taken as good before; an answer counts once"):
        take_sheet(folder, ANNA, path)


def test_the_list_of_another_appraiser_is_noticed(tmp_path: Path) -> None:
    study = made(tmp_path / "msa", plan(n=12))
    path = filled(study, tmp_path / "a.csv", *["good"] * 36)
    with pytest.raises(DataError, match="is this the list of another appraiser"):
        take_sheet(study, KAYA, path)


def test_parts_without_a_serial_cannot_be_handed_out(tmp_path: Path) -> None:
    first, second = plan(n=2).parts
    nameless = plan(n=2, parts=(first, second.model_copy(update={"serial": ""})))
    study = made(tmp_path / "msa", nameless)
    with pytest.raises(DataError, match="parts 2 have no serial"):
        write_sheet(study, ANNA, tmp_path / "a.csv")


def test_references_are_read_as_spreadsheets_save_them(tmp_path: Path) -> None:
    path = tmp_path / "references.csv"
    path.write_text("\ufeffpart;class\n1;good\n2;defective\n;\n", "utf-8")
    found = given_references(plan(n=2), path, "Q. Meyer", "2026-11-28T06:00:00+00:00")
    assert [(r.part, r.judgement, r.part_class) for r in found] == [
        (1, "good", "good"),
        (2, "bad", "defective"),
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("part\n1\n", r"references\.csv:1 has no column class"),
        ("part,class\n3,good\n", r'references\.csv:2 part "3" is not one of 1 to 2'),
        ("part,class\nx,good\n", r'references\.csv:2 part "x" is not one of 1 to 2'),
        ("part,class\n1,god\n", r'references\.csv:2 class "god" .*did you mean "good"'),
    ],
)
def test_a_row_that_cannot_be_understood_is_named_by_its_place(
    tmp_path: Path, text: str, why: str
) -> None:
    path = tmp_path / "references.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=why):
        given_references(plan(n=2), path, "Q. Meyer", "2026-11-28T06:00:00+00:00")


def test_a_table_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read as a table"):
        given_references(plan(n=2), tmp_path / "nowhere.csv", "Q", "")
