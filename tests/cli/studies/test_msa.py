"""`lineside msa` as a person uses it, from the plan to the report."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.contracts.records import Verdict
from pipeline.contracts.study import Judgement
from pipeline.daemon.settings.line import Line
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.studies.folder import StudyFolder
from tests.cli.studies.conftest import PEOPLE, Run, new, study_of
from tests.ledger.studies.conftest import record


def truth(folder: StudyFolder, number: int) -> Judgement:
    """Clearly bad parts and every doubtful one with an even serial are bad."""
    part = folder.study.parts[number - 1]
    doubtful = part.verdict is Verdict.REVIEW and int(part.serial[3:]) % 2 == 0
    return Judgement.BAD if part.verdict is Verdict.FAIL or doubtful else Judgement.GOOD


def judge_all(folder: StudyFolder, *people: str) -> None:
    for name in people:
        for position, (_, number) in enumerate(folder.study.order(name)):
            folder.answer(name, position, truth(folder, number))


def set_references(msa: Run, folder: StudyFolder, tmp_path: Path) -> tuple[int, str, str]:
    table = tmp_path / "references.csv"
    rows = [f"{p.number},{truth(folder, p.number)}" for p in folder.study.parts]
    table.write_text("\n".join(["part,class", *rows]) + "\n")
    return msa("reference", "november", "--by", "Q. Meyer", "--from", str(table))


def test_a_new_study_names_how_many_parts_are_near_a_limit(msa: Run) -> None:
    code, out, err = new(msa, "--near", "0.5")
    assert code == 0, err
    assert "12 parts of 18 with a kept frame" in out
    assert "6 near a decision limit (50%), of 6 that there were" in out
    assert "seed 7" in out


def test_too_few_parts_near_a_limit_are_remarked_on(msa: Run) -> None:
    _, out, _ = new(msa, "--near", "0.1")
    assert "1 near a decision limit (8%)" in out
    assert "fewer than the 30 % that make a study hard enough" in out


def test_too_few_parts_that_are_clearly_good_are_remarked_on(
    msa: Run, kept: Line, tmp_path: Path
) -> None:
    for i in range(0, 18, 3):
        (tmp_path / "kept" / f"{i}.png").unlink()
    _, out, _ = new(msa)
    assert "0 clearly good, 6 clearly bad" in out
    assert "keep.pass_share in the line file" in out
    assert "too few bad parts" not in out


def test_the_studies_are_listed_and_one_is_shown_with_its_progress(msa: Run, kept: Line) -> None:
    assert "make one: lineside msa new" in msa("show")[1]
    new(msa)
    assert msa("show")[1].split() == ["november"]
    study_of(kept).answer(PEOPLE[0], 0, Judgement.GOOD)
    out = msa("show", "november")[1]
    assert "A. Weber: 1 of 36" in out
    assert "station: 0 of 36" in out
    assert "references: 0 of 12" in out
    assert str(study_of(kept).picture(3)) in out


def test_an_unknown_study_is_an_error_with_those_there_are(msa: Run) -> None:
    new(msa)
    code, _, err = msa("show", "novembre")
    assert (code, 'did you mean "november"' in err) == (2, True)


def test_a_study_goes_from_the_plan_to_a_report(msa: Run, kept: Line, tmp_path: Path) -> None:
    new(msa)
    folder = study_of(kept)
    assert "12 of 12 are known" in set_references(msa, folder, tmp_path)[1]
    judge_all(folder, *PEOPLE)
    code, out, err = msa("report", "november")
    assert code == 0, err
    assert "Not proven: no figure breaks its limit" in out
    assert "12 parts; the AIAG's study has 50." in out
    assert "To judge the same picture again is deterministic" in out.replace("\n", " ")
    page = (folder.path / "report.html").read_text()
    assert "IATF 16949" in page
    assert json.loads((folder.path / "result.json").read_text())["state"] == "not proven"
    assert "Not proven" in msa("show", "november")[1]


def test_the_station_is_an_appraiser_once_it_has_taken_new_images(
    msa: Run, kept: Line, tmp_path: Path
) -> None:
    new(msa)
    folder = study_of(kept)
    set_references(msa, folder, tmp_path)
    judge_all(folder, *PEOPLE)
    out = msa("station", "november")[1]
    assert "station: 0 of 36 images" in out
    assert len([line for line in out.splitlines() if line.startswith("  SN-")]) == 36
    present(kept, folder, lambda trial: trial / 1000)
    assert "station: 36 of 36 images" in msa("station", "november")[1]
    _, out, _ = msa("report", "november")
    assert "deterministic" not in out
    page = (folder.path / "report.html").read_text()
    assert '<th scope="row">station</th>' in page


def test_the_same_picture_judged_again_proves_nothing(msa: Run, kept: Line, tmp_path: Path) -> None:
    new(msa)
    folder = study_of(kept)
    set_references(msa, folder, tmp_path)
    judge_all(folder, *PEOPLE)
    present(kept, folder, lambda trial: 0)
    assert "these are the same pictures" in msa("station", "november")[1]
    out = msa("report", "november")[1]
    assert "(36 of 36 images, all the same.)" in out
    assert '<th scope="row">station</th>' not in (folder.path / "report.html").read_text()


def present(line: Line, folder: StudyFolder, shift: Callable[[int], float]) -> None:
    """The station inspects every part of a study three times more."""
    with closing(Ledger(line.ledger, line.station)) as ledger:
        for trial in range(1, 4):
            for part in folder.study.parts:
                score = part.defect_score + shift(trial)
                record(
                    *(ledger, part.serial, part.verdict, score, datetime.now(UTC)),
                    model_version="cells/1",
                )


def test_an_appraiser_with_missing_trials_is_named_and_can_be_left_out(
    msa: Run, kept: Line, tmp_path: Path
) -> None:
    new(msa)
    folder = study_of(kept)
    set_references(msa, folder, tmp_path)
    judge_all(folder, *PEOPLE[:2])
    folder.answer(PEOPLE[2], 0, Judgement.GOOD)
    code, _, err = msa("report", "november")
    assert code == 2
    assert "answers are missing (C. Rossi 1 of 36)" in err
    code, out, _ = msa("report", "november", "--without", PEOPLE[2])
    assert (code, "Left out by hand: C. Rossi." in out) == (0, True)
    assert "2 people; the AIAG's study has 3." in out
    code, _, err = msa("report", "november", "--without", "C. Rosi")
    assert (code, 'did you mean "C. Rossi"' in err) == (2, True)


def test_a_report_asks_for_references_that_are_missing(msa: Run, kept: Line) -> None:
    new(msa)
    judge_all(study_of(kept), *PEOPLE)
    code, _, err = msa("report", "november")
    assert (code, "12 of 12 parts have no reference verdict" in err) == (2, True)


def test_a_reference_is_a_class_of_the_study_or_good_or_bad(msa: Run, kept: Line) -> None:
    new(msa)
    by = ("--by", "Q. Meyer")
    assert msa("reference", "november", *by, "--part", "1", "--class", "defective")[0] == 0
    assert msa("reference", "november", *by, "--part", "2", "--class", "good")[0] == 0
    code, _, err = msa("reference", "november", *by, "--part", "3", "--class", "scratch")
    assert (code, '--class "scratch" is not a class of the study' in err) == (2, True)
    code, _, err = msa("reference", "november", *by, "--part", "99", "--class", "good")
    assert (code, "has no part 99; choose 1 to 12" in err) == (2, True)
    code, _, err = msa("reference", "november", *by)
    assert (code, "give --part and --class, or --from" in err) == (2, True)
    found = study_of(kept).references()
    assert {n: r.judgement for n, r in found.items()} == {1: "bad", 2: "good"}


def test_classes_that_changed_stop_references_and_the_station(
    msa: Run, kept: Line, tmp_path: Path
) -> None:
    new(msa)
    folder = study_of(kept)
    set_references(msa, folder, tmp_path)
    judge_all(folder, *PEOPLE)
    path = folder.path / "study.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"classes": ["good", "scratch"]}))
    for command in (
        ("station", "november"),
        ("reference", "november", "--by", "Q", "--part", "1", "--class", "good"),
    ):
        code, _, err = msa(*command)
        assert (code, "a study is of one set of classes: make a new one" in err) == (2, True)
    assert "The station was left out" in msa("report", "november")[1]


def test_real_parts_are_judged_by_a_list_on_paper(msa: Run, kept: Line, tmp_path: Path) -> None:
    new(msa)
    sheet, who = tmp_path / "anna.csv", ("--appraiser", PEOPLE[0])
    assert msa("judge", "november", *who, "--sheet", str(sheet))[0] == 0
    lines = sheet.read_text().splitlines()
    assert (lines[0], len(lines)) == ("position,serial,answer", 37)
    sheet.write_text("\n".join([lines[0], *(f"{line}good" for line in lines[1:])]))
    _, out, _ = msa("judge", "november", *who, "--from", str(sheet))
    assert "36 answers taken; A. Weber: 36 of 36" in out
    code, _, err = msa("judge", "november", *who)
    assert (code, "give --sheet to write" in err) == (2, True)


def test_a_report_without_the_station_needs_no_ledger(msa: Run, kept: Line, tmp_path: Path) -> None:
    new(msa)
    folder = study_of(kept)
    set_references(msa, folder, tmp_path)
    judge_all(folder, *PEOPLE)
    kept.ledger.unlink()
    code, _, err = msa("report", "november")
    assert (code, "ledger.sqlite is missing" in err) == (2, True)
    code, out, _ = msa("report", "november", "--without", "station")
    assert (code, "Left out by hand: station." in out) == (0, True)


def test_a_computer_without_the_extra_is_advised(
    msa: Run, kept: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    new(msa)
    monkeypatch.setitem(sys.modules, "pipeline.reporting.studies.agreement", None)
    code, _, err = msa("report", "november")
    assert (code, "'.[msa]'" in err) == (2, True)
