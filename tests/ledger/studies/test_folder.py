"""The folder of a study: durable answers, several at once, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline.contracts.study import (
    FindingState,
    Judgement,
    PartReference,
    StudyResult,
)
from pipeline.errors import DataError
from pipeline.ledger.studies.folder import StudyFolder, make, names, open_study, studies_of
from tests.contracts.test_study import plan
from tests.ledger.studies.conftest import AT, made

ANNA, KAYA, _ = plan().appraisers


def reference(
    part: int, judgement: Judgement = Judgement.GOOD, by: str = "Q. Meyer"
) -> PartReference:
    assert judgement is not Judgement.UNDECIDED
    return PartReference(part=part, judgement=judgement, part_class="", by=by, at=AT.isoformat())


def test_an_interrupted_study_goes_on_where_it_was(folder: StudyFolder) -> None:
    order = folder.study.order(ANNA)
    folder.answer(ANNA, 0, Judgement.GOOD, "anna", AT)
    folder.answer(ANNA, 1, Judgement.BAD, "anna", AT)
    again = open_study(folder.path.parent, folder.study.name)
    assert again.next(ANNA) == (2, *order[2])
    assert again.next(KAYA) == (0, *folder.study.order(KAYA)[0])
    kept = [(a.trial, a.part, a.judgement, a.by) for a in again.appraisals(ANNA)]
    assert kept == [(*order[0], "good", "anna"), (*order[1], "bad", "anna")]


def test_an_appraiser_who_has_judged_everything_has_nothing_next(folder: StudyFolder) -> None:
    for position in range(folder.study.presentations):
        folder.answer(ANNA, position, Judgement.GOOD)
    assert folder.next(ANNA) is None
    with pytest.raises(DataError, match="all parts are judged"):
        folder.answer(ANNA, 4, Judgement.GOOD)


def test_an_answer_that_is_sent_twice_counts_once(folder: StudyFolder) -> None:
    folder.answer(ANNA, 0, Judgement.GOOD)
    with pytest.raises(DataError, match="part 1 of 4 cannot be judged now, 2 is next"):
        folder.answer(ANNA, 0, Judgement.BAD)
    assert [a.judgement for a in folder.appraisals(ANNA)] == ["good"]


def test_appraisers_may_judge_at_the_same_time(folder: StudyFolder) -> None:
    faults = list[Exception]()

    def judge(appraiser: str) -> None:
        own = StudyFolder(folder.path)
        try:
            for position in range(own.study.presentations):
                own.answer(appraiser, position, Judgement.BAD)
        except DataError as error:
            faults.append(error)

    threads = [threading.Thread(target=judge, args=(name,)) for name in folder.study.appraisers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert faults == []
    assert [folder.next(name) for name in folder.study.appraisers] == [None] * 3


def test_one_appraiser_in_two_browsers_gives_each_answer_once(folder: StudyFolder) -> None:
    refused = list[str]()

    def judge() -> None:
        for position in range(4):
            try:
                StudyFolder(folder.path).answer(ANNA, position, Judgement.GOOD)
            except DataError as error:
                refused.append(str(error))

    threads = [threading.Thread(target=judge) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    given = [(a.trial, a.part) for a in folder.appraisals(ANNA)]
    assert given == folder.study.order(ANNA)[: len(given)]
    assert len(given) + len(refused) == 8


def test_an_answer_that_a_power_cut_tore_is_asked_for_again(folder: StudyFolder) -> None:
    folder.answer(ANNA, 0, Judgement.GOOD)
    path = folder.path / "appraiser-1.jsonl"
    path.write_bytes(path.read_bytes() + b'{"trial": 1, "par')
    assert len(folder.appraisals(ANNA)) == 1
    folder.answer(ANNA, 1, Judgement.BAD)
    assert [a.judgement for a in folder.appraisals(ANNA)] == ["good", "bad"]


JUDGE = """
import sys
from pathlib import Path
from pipeline.contracts.study import Judgement
from pipeline.ledger.studies.folder import StudyFolder
folder = StudyFolder(Path(sys.argv[1]))
for position in range(folder.study.presentations):
    folder.answer(folder.study.appraisers[0], position, Judgement.BAD)
    print(position, flush=True)
"""


@pytest.mark.slow
def test_no_answer_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    folder = made(tmp_path / "msa", plan(n=50, trials=40))
    command = [sys.executable, "-c", JUDGE, str(folder.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == 100:
                process.kill()
                break
        acknowledged = [100, *map(int, process.stdout)]
    given = [(a.trial, a.part) for a in folder.appraisals(ANNA)]
    assert len(given) > max(acknowledged)
    assert given == folder.study.order(ANNA)[: len(given)]
    folder.answer(ANNA, len(given), Judgement.GOOD)


def test_a_damaged_line_is_named_by_its_place(folder: StudyFolder) -> None:
    folder.answer(ANNA, 0, Judgement.GOOD)
    path = folder.path / "appraiser-1.jsonl"
    path.write_text(path.read_text().replace("good", "fair"))
    with pytest.raises(DataError, match=r"appraiser-1\.jsonl:1 is damaged \(judgement"):
        folder.appraisals(ANNA)


def test_the_last_reference_of_a_part_counts_and_the_former_stays_in_the_file(
    folder: StudyFolder,
) -> None:
    folder.set_references([reference(1), reference(2)])
    folder.set_references([reference(1, Judgement.BAD, "R. Vogt")])
    found = folder.references()
    assert {n: (r.judgement, r.by) for n, r in found.items()} == {
        1: ("bad", "R. Vogt"),
        2: ("good", "Q. Meyer"),
    }
    assert len((folder.path / "references.jsonl").read_text().splitlines()) == 3


def test_references_with_an_unknown_part_are_refused_as_a_whole(folder: StudyFolder) -> None:
    with pytest.raises(DataError, match="november has no part 9; choose 1 to 2"):
        folder.set_references([reference(1), reference(9)])
    assert folder.references() == {}


def test_an_unknown_appraiser_is_named_with_those_there_are(folder: StudyFolder) -> None:
    with pytest.raises(
        DataError, match=r'"A\. Webber" is not an appraiser .*did you mean "A. Weber"'
    ):
        folder.next("A. Webber")


def test_an_unknown_study_is_named_with_those_there_are(folder: StudyFolder) -> None:
    root = folder.path.parent
    with pytest.raises(DataError, match=r'has no study "novembre".*did you mean "november"'):
        open_study(root, "novembre")
    with pytest.raises(DataError, match="make one: lineside msa new"):
        open_study(root / "nowhere", "november")


def test_a_study_is_never_made_over_another(folder: StudyFolder) -> None:
    folder.answer(ANNA, 0, Judgement.GOOD)
    with pytest.raises(DataError, match="is there already; give the new study another name"):
        made(folder.path.parent, folder.study)
    assert len(folder.appraisals(ANNA)) == 1


def test_a_study_whose_pictures_cannot_all_be_written_is_not_there(tmp_path: Path) -> None:
    study = plan(n=2)
    root = tmp_path / "msa"
    with pytest.raises(DataError, match="cannot be written"):
        make(root, study, [("parts/1.png", b"x"), ("nowhere/2.png", b"x")], [])
    assert names(root) == []


def test_a_study_of_a_newer_format_is_refused(folder: StudyFolder) -> None:
    path = folder.path / "study.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 2}))
    with pytest.raises(DataError, match="has format 2, this Lineside reads 1"):
        StudyFolder(folder.path)


def test_a_plan_that_is_damaged_is_refused(folder: StudyFolder) -> None:
    (folder.path / "study.json").write_text("{}")
    with pytest.raises(DataError, match=r"study\.json cannot be read as part of a study"):
        StudyFolder(folder.path)


def test_a_folder_that_cannot_be_written_loses_no_answer_in_silence(folder: StudyFolder) -> None:
    (folder.path / "appraiser-1.jsonl").mkdir()
    with pytest.raises(DataError, match="cannot be"):
        folder.answer(ANNA, 0, Judgement.GOOD)


def test_the_result_is_kept_beside_the_report(folder: StudyFolder) -> None:
    assert folder.result() is None
    result = StudyResult(
        computed_at=AT.isoformat(),
        state=FindingState.NOT_PROVEN,
        sentence="Not proven.",
        findings=(),
        notes=(),
    )
    path = folder.write_result(result, b"<!doctype html>")
    assert path.read_bytes() == b"<!doctype html>"
    assert folder.result() == result


def test_studies_of_two_stations_with_ledgers_in_one_folder_stay_apart() -> None:
    ledgers = Path("data")
    west = studies_of(ledgers / "west.sqlite", "west-1")
    assert west != studies_of(ledgers / "east.sqlite", "east-1")


def test_the_picture_of_a_part_is_a_copy_in_the_study(folder: StudyFolder) -> None:
    assert folder.picture(2).is_file()
    with pytest.raises(DataError, match="no part 3"):
        folder.picture(3)
