"""Augmentation: every effect keeps an image trainable, and a seed its pictures."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import TrainingError
from pipeline.imaging import Pixels
from pipeline.training.augmentation import Augmenter, Policy

EFFECTS = sorted(set(Policy.model_fields) - {"flip"})


@pytest.fixture(params=[1, 3], ids=["grey", "rgb"])
def image(request: pytest.FixtureRequest) -> Pixels:
    rng = np.random.default_rng(0)
    ramp = np.linspace(40, 200, 64 * 48 * request.param).reshape(48, 64, request.param)
    return (ramp + rng.normal(0, 5, ramp.shape)).clip(0, 255).astype(np.uint8)


def views(augmenter: Augmenter, image: Pixels, n: int = 8) -> list[Pixels]:
    return [augmenter(image, seed=0, sample_id="part", view=v) for v in range(n)]


@pytest.mark.parametrize("effect", EFFECTS)
def test_an_effect_changes_pixels_but_neither_shape_nor_type(effect: str, image: Pixels) -> None:
    made = views(Augmenter.of(Policy.model_validate({effect: {"probability": 1.0}})), image)
    assert all(m.shape == image.shape and m.dtype == np.uint8 for m in made)
    assert any((m != image).any() for m in made)


def test_a_flip_is_the_mirror_image(image: Pixels) -> None:
    made = views(Augmenter.of(Policy.model_validate({"flip": {"horizontal": True}})), image)
    mirrored = [bool((m == image[:, ::-1]).all()) for m in made]
    untouched = [bool((m == image).all()) for m in made]
    assert any(mirrored)
    assert all(m or u for m, u in zip(mirrored, untouched, strict=True))


NOISE = Policy.model_validate({"sensor_noise": {"probability": 1.0, "deviation": 0.1}})


def test_views_of_one_image_differ_and_so_do_images_of_one_view(image: Pixels) -> None:
    augmenter = Augmenter.of(NOISE)
    first = augmenter(image, seed=0, sample_id="a", view=0)
    assert (first != augmenter(image, seed=0, sample_id="a", view=1)).any()
    assert (first != augmenter(image, seed=0, sample_id="b", view=0)).any()
    assert (first != augmenter(image, seed=1, sample_id="a", view=0)).any()


def test_threads_make_the_same_pictures_as_one(image: Pixels) -> None:
    augmenter = Augmenter.of(NOISE)
    alone = views(augmenter, image, n=24)
    with ThreadPoolExecutor(4) as pool:
        together = pool.map(lambda v: augmenter(image, seed=0, sample_id="part", view=v), range(24))
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_empty_policy_leaves_the_image_as_it_is(image: Pixels) -> None:
    np.testing.assert_array_equal(views(Augmenter.of(Policy()), image, 1)[0], image)


def test_a_damaged_policy_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text("{}")
    with pytest.raises(TrainingError, match=r"policy\.json is no augmentation policy"):
        Augmenter.read(tmp_path / "policy.json")
