"""Which test part becomes the golden frame."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.contracts.bundle import Bundle, OperatingPoint, open_bundle, seal
from pipeline.datasets.manifest import Manifest
from pipeline.evaluation.golden_frame import LARGEST_BYTES, add_golden_frame
from pipeline.files import write_model
from tests.evaluation.conftest import parts, predictions

# The network's probability of good is 0.979, 0.893 and 0.816; that of defective 0.859.
BRIGHTNESS = {"sure": 152, "fit": 141, "other": 137, "bad": 116}
FIT = {"fit": 141}


@pytest.fixture
def deciding(sealed_bundle: Bundle) -> Bundle:
    """The tiny bundle with limits that let each of the parts be decided."""
    point = OperatingPoint(pass_below=0.34, fail_from=0.7)
    write_model(sealed_bundle.folder / "operating_point.json", point)
    return open_bundle(sealed_bundle.folder, seal(sealed_bundle.folder))


def chosen(bundle: Bundle, data: Manifest) -> str | None:
    golden = add_golden_frame(bundle, data, predictions(bundle, data)).golden
    return None if golden is None else golden.sample_id


def test_the_part_whose_likeliest_class_has_nearest_to_nine_tenths_is_golden(
    deciding: Bundle, tmp_path: Path
) -> None:
    data = parts(deciding, tmp_path / "parts", BRIGHTNESS)
    assert chosen(deciding, data) == "fit"


def test_the_picture_travels_as_the_camera_wrote_it(deciding: Bundle, tmp_path: Path) -> None:
    data = parts(deciding, tmp_path / "parts", FIT)
    bundle = add_golden_frame(deciding, data, predictions(deciding, data))
    assert bundle.golden is not None
    assert (bundle.folder / bundle.golden.file).read_bytes() == data.image(0)
    assert bundle.sha256 != deciding.sha256
    assert open_bundle(bundle.folder, bundle.sha256) == bundle


def test_sealing_twice_gives_one_identity(deciding: Bundle, tmp_path: Path) -> None:
    data = parts(deciding, tmp_path / "parts", BRIGHTNESS)
    first, second = (
        add_golden_frame(deciding, data, predictions(deciding, data)) for _ in range(2)
    )
    assert first.sha256 == second.sha256


@pytest.mark.parametrize(
    "brightness",
    [
        pytest.param({"bad": 152}, id="judged wrong"),
        pytest.param({"fit": 245}, id="unlike the training images"),
        pytest.param({"fit": 132}, id="near a limit"),
        pytest.param({"fit": 142}, id="near where 0.90674 is rounded up"),
    ],
)
def test_a_part_that_cannot_be_relied_on_is_not_golden(
    deciding: Bundle, tmp_path: Path, brightness: dict[str, int]
) -> None:
    assert chosen(deciding, parts(deciding, tmp_path / "parts", brightness)) is None


def test_a_file_that_is_too_large_to_travel_is_not_golden(deciding: Bundle, tmp_path: Path) -> None:
    data = parts(deciding, tmp_path / "parts", FIT)
    data.table["bytes"] = LARGEST_BYTES + 1
    assert chosen(deciding, data) is None


def test_without_a_fit_part_the_bundle_stays_as_it_is(deciding: Bundle, tmp_path: Path) -> None:
    data = parts(deciding, tmp_path / "parts", FIT, ending=".raw")
    assert add_golden_frame(deciding, data, predictions(deciding, data)) is deciding
