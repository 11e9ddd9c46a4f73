"""The words of a policy: which effects happen, and which are too large for the image."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config import load
from pipeline.errors import ConfigError, DataError
from pipeline.stages import augment
from pipeline.training.augmentation import Policy


def test_an_effect_that_never_happens_is_not_named() -> None:
    given = {"flip": {}, "jpeg": {"probability": 0}, "dust": {}, "rotation": {}}
    assert Policy.model_validate(given).effects == ("rotation", "dust")


def test_the_smallest_detail_is_the_largest_streak_or_speck() -> None:
    given = {"vibration": {"max_px": 9}, "dust": {"max_px": 4}}
    assert Policy.model_validate(given).smallest_detail_px == 9
    assert Policy.model_validate({"jpeg": {}}).smallest_detail_px == 1


@pytest.mark.parametrize("effect", ["vibration", "dust"])
def test_an_effect_as_large_as_the_image_is_refused(effect: str) -> None:
    policy = Policy.model_validate({effect: {"max_px": 31}})
    policy.check_size(40, 32)
    with pytest.raises(
        DataError,
        match=rf"policy\.{effect}\.max_px 31 in augment\.yaml.*\(24x40 px\).*less than 24",
    ):
        policy.check_size(40, 24)


def test_settings_out_of_range_are_refused_with_their_line(tmp_path: Path) -> None:
    file = tmp_path / "augment.yaml"
    file.write_text(
        "policy:\n  jpeg: {probability: 1.5}\n  dusk: {}\noversample: {share: 2}\n"
        "paste: {images_per_class: 0}\n"
    )
    with pytest.raises(ConfigError) as refused:
        load(file, augment.Config)
    said = str(refused.value)
    assert 'augment.yaml:2 policy.jpeg.probability "1.5"' in said
    assert 'augment.yaml:3 key "policy.dusk" unknown; did you mean "dust"?' in said
    assert "augment.yaml:4 oversample.share" in said
    assert "augment.yaml:5 paste.images_per_class" in said
