"""Augment: a policy that is proven, seeded and shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.shards import Shards
from pipeline.errors import DataError
from pipeline.imaging.codec import read
from pipeline.stages import augment
from pipeline.training.augmentation import Augmenter
from tests.stages.conftest import POLICY, Ran


def test_the_written_policy_makes_the_same_pictures_as_the_configured_one(ran: Ran) -> None:
    image = Shards(ran.data / "preprocess")[0]
    written = Augmenter.read(ran.data / "augment/policy.json")
    configured = Augmenter.of(POLICY.policy)
    for view in range(5):
        np.testing.assert_array_equal(
            written(image, seed=3, sample_id="a", view=view),
            configured(image, seed=3, sample_id="a", view=view),
        )


def test_every_class_has_a_sheet_of_before_and_after(ran: Ran) -> None:
    for name in ("good", "defective"):
        assert read(ran.data / f"augment/{name}.png").shape[1] == 6 * (144 + 4) + 4


def test_only_training_images_are_on_the_sheets(ran: Ran, tmp_path: Path) -> None:
    held_out = Shards(ran.data / "preprocess").index["split"] != "train"
    assert held_out.any()
    config = augment.Config.model_validate({"policy": {}, "examples_per_class": 16})
    augment.run(config, ran.data, tmp_path)
    # With an empty policy a view equals its image: all tiles of a row are the same picture.
    sheet = read(tmp_path / "good.png")
    np.testing.assert_array_equal(sheet[4:148, 4:148], sheet[4:148, 152:296])


def test_a_policy_that_whitens_whole_images_is_refused(ran: Ran, tmp_path: Path) -> None:
    config = augment.Config.model_validate(
        {
            "policy": {"exposure": {"probability": 1.0, "brightness": 1.0, "contrast": 1.0}},
            "views_on_sheet": 16,
            "examples_per_class": 16,
        }
    )
    with pytest.raises(DataError, match="one flat grey; weaken exposure"):
        augment.run(config, ran.data, tmp_path)
