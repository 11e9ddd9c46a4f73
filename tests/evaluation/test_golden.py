"""Golden parts: what counts as a miss."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.contracts.evaluation import Golden
from pipeline.datasets import golden
from pipeline.datasets.manifest import Manifest
from pipeline.evaluation.golden import check_golden
from tests.evaluation.conftest import parts, unwatched

# The tiny bundle passes 200, fails 50 and sends 128 to review.
BRIGHTNESS = {"light": 200, "doubtful": 128, "dark": 50, "bad_light": 200, "bad_dark": 50}


@pytest.fixture
def data(sealed_bundle: Bundle, tmp_path: Path) -> Manifest:
    return parts(sealed_bundle, tmp_path / "parts", BRIGHTNESS)


def found(bundle: Bundle, data: Manifest, root: Path, *listed: str) -> Golden:
    golden.write(root, list(listed))
    result = check_golden(bundle, data, root / golden.FILE, unwatched)
    assert result is not None
    return result


def test_without_a_list_there_is_no_check(
    sealed_bundle: Bundle, data: Manifest, tmp_path: Path
) -> None:
    assert check_golden(sealed_bundle, data, tmp_path / golden.FILE, unwatched) is None


def test_a_bad_part_that_passes_and_a_good_one_that_fails_are_misses(
    sealed_bundle: Bundle, data: Manifest, tmp_path: Path
) -> None:
    misses = found(sealed_bundle, data, tmp_path, *BRIGHTNESS).misses
    assert [(m.sample_id, m.wanted, m.verdict) for m in misses] == [
        ("dark", "good", "FAIL"),
        ("bad_light", "defective", "PASS"),
    ]


def test_a_golden_part_that_goes_to_review_is_not_a_miss(
    sealed_bundle: Bundle, data: Manifest, tmp_path: Path
) -> None:
    assert found(sealed_bundle, data, tmp_path, "doubtful").misses == ()


def test_golden_parts_are_counted_by_the_side_of_the_split(
    sealed_bundle: Bundle, data: Manifest, tmp_path: Path
) -> None:
    data.table.loc[data.table["sample_id"] == "light", "split"] = "train"
    assert found(sealed_bundle, data, tmp_path, "light", "bad_dark").splits == {
        "train": 1,
        "test": 1,
    }
