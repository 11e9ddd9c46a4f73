"""Planning a study from a station's ledger."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.cli.studies.planning import Wishes, changed_classes, plan
from pipeline.daemon.settings.line import Line
from pipeline.errors import DataError
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.review.reviews import opened
from tests.cli.studies.conftest import BEFORE, PEOPLE
from tests.ledger.studies.conftest import record

AT = datetime(2026, 11, 28, 6, 0, tzinfo=UTC)
WISHES = Wishes("november", PEOPLE, parts=12, near=0.5, trials=3, seed=7)


def test_a_plan_has_the_asked_parts_with_their_pictures(kept: Line, tmp_path: Path) -> None:
    folder, proposal = plan(kept, WISHES, AT)
    study = folder.study
    assert (len(study.parts), study.near, proposal.near) == (12, 6, 6)
    assert Counter(part.verdict for part in study.parts) == {"REVIEW": 6, "PASS": 3, "FAIL": 3}
    for part in study.parts:
        kept_as = tmp_path / "kept" / f"{part.serial.removeprefix('SN-')}.png"
        assert folder.picture(part.number).read_bytes() == kept_as.read_bytes()
    assert (study.pass_below, study.model_version) == (0.2, "cells/1")


def test_the_number_of_a_part_reveals_nothing_about_it(kept: Line) -> None:
    folder, _ = plan(kept, WISHES, AT)
    near = [part.near for part in folder.study.parts]
    assert near not in (sorted(near), sorted(near, reverse=True))


def test_the_pictures_of_a_study_outlive_the_stations_retention(kept: Line, tmp_path: Path) -> None:
    folder, _ = plan(kept, WISHES, AT)
    for image in (tmp_path / "kept").iterdir():
        image.unlink()
    assert all(folder.picture(part.number).is_file() for part in folder.study.parts)


def test_fewer_parts_than_asked_are_named_with_what_to_do(kept: Line) -> None:
    with pytest.raises(
        DataError, match=r"18 parts have a kept frame and a verdict of cells/1, 50 .*--parts 18"
    ):
        plan(kept, Wishes("november", PEOPLE, 50, 0.4, 3, 7), AT)


def test_reviews_that_agree_are_references_and_those_in_dispute_are_not(kept: Line) -> None:
    with closing(Ledger(kept.ledger, kept.station)) as ledger:
        ids = {r.serial: r.id for r in ledger.records()}
    with opened(kept.ledger, kept.station) as reviews:
        for serial, label, person in (
            ("SN-0", "good", "Q. Meyer"),
            ("SN-1", "defective", "Q. Meyer"),
            ("SN-2", "defective", "Q. Meyer"),
            ("SN-2", "good", "R. Vogt"),
        ):
            reviews.add(ids[serial], label, person, "", AT)
    folder, _ = plan(kept, Wishes("november", PEOPLE, 18, 0.4, 3, 7), AT)
    serials = {part.number: part.serial for part in folder.study.parts}
    known = {serials[n]: (r.judgement, r.by) for n, r in folder.references().items()}
    assert known == {"SN-0": ("good", "Q. Meyer"), "SN-1": ("bad", "Q. Meyer")}


def test_parts_that_another_model_judged_are_not_proposed(kept: Line, tmp_path: Path) -> None:
    (tmp_path / "kept" / "old.png").write_bytes(b"x")
    with closing(Ledger(kept.ledger, kept.station)) as ledger:
        record(ledger, "old", at=BEFORE, image="old.png", model_version="cells/0")
    folder, proposal = plan(kept, Wishes("november", PEOPLE, 18, 0.4, 3, 7), AT)
    assert proposal.candidates == 18
    assert "old" not in {part.serial for part in folder.study.parts}


def test_a_station_that_keeps_no_frames_has_nothing_to_show(kept: Line) -> None:
    with pytest.raises(DataError, match="keeps no frames"):
        plan(kept.model_copy(update={"keep": None}), WISHES, AT)


def test_without_a_model_the_limits_are_not_known(kept: Line, tmp_path: Path) -> None:
    model = kept.model.model_copy(update={"cache": tmp_path / "empty"})
    with pytest.raises(DataError, match="the decision limits are not known"):
        plan(kept.model_copy(update={"model": model}), WISHES, AT)


def test_two_appraisers_of_one_name_are_refused(kept: Line) -> None:
    with pytest.raises(DataError, match="two appraisers have the same name"):
        plan(kept, Wishes("november", ("Anna", "anna"), 12, 0.4, 3, 7), AT)


def test_classes_that_changed_since_the_plan_are_named(kept: Line) -> None:
    folder, _ = plan(kept, WISHES, AT)
    assert changed_classes(kept, folder.study) == ""
    other = folder.study.model_copy(update={"classes": ("good", "scratch")})
    assert "were good, scratch (good: good) when" in changed_classes(kept, other)
