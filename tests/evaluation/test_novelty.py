"""Examples of training in the bundle, and the limit on the distance to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.contracts.bundle import EXAMPLES, NOVELTY, Bundle, open_bundle, seal
from pipeline.datasets.manifest import Manifest
from pipeline.evaluation import novelty
from tests.evaluation.conftest import parts, predictions

BRIGHTNESS = {"a": 140, "b": 141, "c": 142, "d": 143, "bad_a": 80, "bad_b": 81}


@pytest.fixture
def data(sealed_bundle: Bundle, tmp_path: Path) -> Manifest:
    made = parts(sealed_bundle, tmp_path / "parts", BRIGHTNESS)
    made.table["split"] = ["train", "train", "val", "val", "train", "val"]
    return made


def sealed(bundle: Bundle) -> Bundle:
    return open_bundle(bundle.folder, seal(bundle.folder))


def test_examples_come_from_training_parts_alone_and_from_each_class(data: Manifest) -> None:
    rows = novelty.spread(data)
    assert set(data.table["split"].iloc[rows]) == {"train"}
    assert set(data.table["label"].iloc[rows]) == {"good", "defective"}


def test_a_picture_unlike_training_exceeds_the_limit(sealed_bundle: Bundle, data: Manifest) -> None:
    novelty.add_examples(sealed_bundle, data)
    bundle = sealed(sealed_bundle)
    novelty.choose_limit(bundle.folder, predictions(bundle, data))
    known = sealed(bundle).novelty
    assert known is not None
    assert known.limit is not None
    assert known.n_chosen_on == len(BRIGHTNESS)
    # Validation parts are two grey levels from the nearest example in each of 16 numbers at most.
    assert known.limit == pytest.approx(8, rel=0.2)
    assert np.load(bundle.folder / EXAMPLES).dtype == np.float16


def test_without_a_training_part_nothing_is_written(sealed_bundle: Bundle, data: Manifest) -> None:
    data.table["split"] = "val"
    novelty.add_examples(sealed_bundle, data)
    assert not (sealed_bundle.folder / NOVELTY).exists()
