"""Which parts a person is shown, in which order, and their pictures on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.contracts.bundle import Bundle, OperatingPoint
from pipeline.contracts.gallery import GALLERIES, Galleries
from pipeline.evaluation.pictures import galleries
from pipeline.evaluation.pictures.galleries import Selection, select
from pipeline.evaluation.predictions import PartPredictions
from pipeline.files import read_model
from pipeline.imaging import Pixels
from pipeline.imaging.codec import read
from tests.evaluation.conftest import parts, predictions

# Dark parts have a high score; the bundle passes below 0.2 and fails from 0.8.
BRIGHTNESS = {
    **{f"light_{i}": 215 + i for i in range(6)},
    **{"dim": 128, "dark": 20},
    **{f"bad_dark_{i}": 10 + i for i in range(6)},
    **{"bad_dim": 120, "bad_light": 230},
}


@pytest.fixture
def test(sealed_bundle: Bundle, tmp_path: Path) -> PartPredictions:
    return predictions(sealed_bundle, parts(sealed_bundle, tmp_path / "parts", BRIGHTNESS))


def chosen(test: PartPredictions, point: OperatingPoint) -> dict[str, Selection]:
    return {selection.name: selection for selection in select(test, point)}


def names(selection: Selection) -> list[str]:
    return [list(BRIGHTNESS)[i] for i in selection.which]


def test_every_result_has_its_gallery(sealed_bundle: Bundle, test: PartPredictions) -> None:
    found = chosen(test, sealed_bundle.operating_point)
    assert names(found["escapes"]) == ["bad_light"]
    assert names(found["overkills"]) == ["dark"]
    assert sorted(names(found["failed"])) == [f"bad_dark_{i}" for i in range(6)]
    assert sorted(names(found["passed"])) == [f"light_{i}" for i in range(6)]


def test_the_surest_and_the_nearest_to_the_limit_come_in_turn(
    sealed_bundle: Bundle, test: PartPredictions
) -> None:
    """So that of many parts, and of few heat maps, both ends are shown."""
    passed = chosen(test, sealed_bundle.operating_point)["passed"]
    distance = passed.distance[passed.which]
    assert distance[0] == distance.max()
    assert distance[1] == distance.min()


def test_limit_samples_stand_on_both_sides_of_each_limit(
    sealed_bundle: Bundle, test: PartPredictions
) -> None:
    point = sealed_bundle.operating_point
    found = chosen(test, point)
    for name, limit in (("limit-pass", point.pass_below), ("limit-fail", point.fail_from)):
        scores = test.scores[found[name].which]
        assert (scores < limit).sum() == galleries.EACH_SIDE
        assert (scores >= limit).sum() == galleries.EACH_SIDE
        assert not found[name].explained


def test_a_limit_that_no_score_is_beyond_has_no_samples(test: PartPredictions) -> None:
    found = chosen(test, OperatingPoint(pass_below=0.0, fail_from=1.1))
    assert not {"limit-pass", "limit-fail"} & set(found)


def test_where_both_limits_are_the_same_there_is_one_gallery(test: PartPredictions) -> None:
    found = chosen(test, OperatingPoint(pass_below=0.5, fail_from=0.5))
    assert [name for name in found if name.startswith("limit")] == ["limit-both"]


def test_what_is_taken_for_another_class_is_not_shown_twice(
    sealed_bundle: Bundle, test: PartPredictions
) -> None:
    found = chosen(test, sealed_bundle.operating_point)
    above = {*found["escapes"].which, *found["overkills"].which}
    assert not above & set(found["confused"].which)


@pytest.fixture
def written(sealed_bundle: Bundle, test: PartPredictions, tmp_path: Path) -> tuple[Path, Galleries]:
    data = parts(sealed_bundle, tmp_path / "again", BRIGHTNESS)
    heats: dict[int, Pixels] = {
        list(BRIGHTNESS).index("bad_light"): np.full((8, 8, 3), 77, np.uint8)
    }
    selections = select(test, sealed_bundle.operating_point)
    return tmp_path / "images", galleries.write(tmp_path / "images", data, test, selections, heats)


def test_every_part_is_written_once_with_all_that_its_caption_needs(
    written: tuple[Path, Galleries], test: PartPredictions
) -> None:
    folder, found = written
    assert read_model(folder / GALLERIES, Galleries) == found
    listed = {p.file for g in found.galleries for p in g.pictures}
    assert {p.name for p in folder.glob("*.jpg") if "heat" not in p.name} == listed
    (escape,) = next(g for g in found.galleries if g.name == "escapes").pictures
    assert (escape.label, escape.verdict, escape.likeliest) == ("defective", "PASS", "good")
    assert escape.score == test.scores[list(BRIGHTNESS).index("bad_light")]
    assert read(folder / escape.file).mean() == pytest.approx(230, abs=3)
    assert read(folder / escape.heat).mean() == pytest.approx(77, abs=3)


def test_pictures_stand_surest_first_and_at_a_limit_by_their_score(
    written: tuple[Path, Galleries],
) -> None:
    _, found = written
    for gallery in found.galleries:
        pictures = gallery.pictures
        order = [p.score if gallery.kind == "limit" else -p.distance for p in pictures]
        assert order == sorted(order)


def test_of_many_parts_some_are_shown_and_all_are_counted(
    sealed_bundle: Bundle, tmp_path: Path
) -> None:
    many = {f"light_{i}": 215 + i % 20 for i in range(40)}
    data = parts(sealed_bundle, tmp_path / "many", many)
    found = chosen(predictions(sealed_bundle, data), sealed_bundle.operating_point)
    assert (found["passed"].n, len(found["passed"].which)) == (40, galleries.RIGHT)
