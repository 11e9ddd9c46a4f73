"""Augmentation: every effect keeps an image trainable, and a seed its pictures."""

from __future__ import annotations

import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import TrainingError
from pipeline.imaging import Pixels
from pipeline.training.augmentation import Augmenter, Policy

EFFECTS = sorted(set(Policy.model_fields) - {"flip"})
EVERYTHING = Policy.model_validate(
    {"flip": {"horizontal": True, "vertical": True}, **{e: {} for e in EFFECTS}}
)


@pytest.fixture(params=[1, 3], ids=["grey", "rgb"])
def image(request: pytest.FixtureRequest) -> Pixels:
    rng = np.random.default_rng(0)
    ramp = np.linspace(40, 200, 64 * 48 * request.param).reshape(48, 64, request.param)
    return (ramp + rng.normal(0, 5, ramp.shape)).clip(0, 255).astype(np.uint8)


def views(augmenter: Augmenter, image: Pixels, n: int = 8) -> list[Pixels]:
    return [augmenter(image, seed=0, sample_id="part", view=v) for v in range(n)]


def one_view(augmenter: Augmenter, image: Pixels, view: int) -> Pixels:
    return augmenter(image, seed=0, sample_id="part", view=view)


@pytest.mark.parametrize("effect", EFFECTS)
def test_an_effect_changes_pixels_but_neither_shape_nor_type(effect: str, image: Pixels) -> None:
    made = views(Augmenter.of(Policy.model_validate({effect: {"probability": 1.0}})), image)
    assert all(m.shape == image.shape and m.dtype == np.uint8 for m in made)
    assert any((m != image).any() for m in made)


@pytest.mark.parametrize("effect", EFFECTS)
def test_at_full_strength_even_an_unlikely_effect_changes_every_image(
    effect: str, image: Pixels
) -> None:
    made = views(
        Augmenter.of(Policy.model_validate({effect: {"probability": 0}}), full=True), image
    )
    assert all((m != image).any() for m in made)


def test_the_effects_follow_the_light_from_the_part_to_the_wire() -> None:
    chain = Augmenter.of(EVERYTHING).serialise()["transform"]["transforms"]
    assert [t["__class_fullname__"].rpartition(".")[2] for t in chain] == [
        *("HorizontalFlip", "VerticalFlip", "Affine", "Affine"),
        *("Illumination", "Specks", "MotionBlur"),
        *("GaussNoise", "RandomBrightnessContrast", "ImageCompression"),
    ]


def test_a_flip_is_the_mirror_image(image: Pixels) -> None:
    made = views(Augmenter.of(Policy.model_validate({"flip": {"horizontal": True}})), image)
    mirrored = [bool((m == image[:, ::-1]).all()) for m in made]
    untouched = [bool((m == image).all()) for m in made]
    assert any(mirrored)
    assert all(m or u for m, u in zip(mirrored, untouched, strict=True))


def test_a_streak_of_vibration_has_its_length_and_stays_in_its_place() -> None:
    dot = np.zeros((41, 41, 1), np.uint8)
    dot[20, 20] = 255
    augmenter = Augmenter.of(Policy.model_validate({"vibration": {"max_px": 9}}), full=True)
    for made in views(augmenter, dot):
        y, x = np.nonzero(made[:, :, 0])
        assert max(np.ptp(x), np.ptp(y)) in range(6, 9)  # 9 px, or 9 / sqrt 2 on the diagonal
        assert (x.mean(), y.mean()) == (20, 20)


NOISE = Policy.model_validate({"sensor_noise": {"probability": 1.0, "deviation": 0.1}})


def test_views_of_one_image_differ_and_so_do_images_of_one_view(image: Pixels) -> None:
    augmenter = Augmenter.of(NOISE)
    first = augmenter(image, seed=0, sample_id="a", view=0)
    assert (first != augmenter(image, seed=0, sample_id="a", view=1)).any()
    assert (first != augmenter(image, seed=0, sample_id="b", view=0)).any()
    assert (first != augmenter(image, seed=1, sample_id="a", view=0)).any()


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_threads_makes_the_same_pictures(workers: int, image: Pixels) -> None:
    augmenter = Augmenter.of(EVERYTHING)
    alone = views(augmenter, image, n=24)
    with ThreadPoolExecutor(workers) as pool:
        together = list(pool.map(partial(one_view, augmenter, image), range(24)))
    np.testing.assert_array_equal(alone, together)


@pytest.mark.slow
def test_a_spawned_process_makes_the_same_pictures() -> None:
    image = np.random.default_rng(0).integers(40, 200, (48, 64, 1), dtype=np.uint8)
    augmenter = Augmenter.of(EVERYTHING)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        elsewhere = list(pool.map(partial(one_view, augmenter, image), range(6), chunksize=3))
    np.testing.assert_array_equal(views(augmenter, image, n=6), elsewhere)


def test_a_copy_sent_elsewhere_is_the_same_policy(image: Pixels) -> None:
    augmenter = Augmenter.of(EVERYTHING)
    copy = pickle.loads(pickle.dumps(augmenter))
    np.testing.assert_array_equal(views(augmenter, image), views(copy, image))


def test_a_mask_moves_with_its_part_and_the_picture_stays_the_same() -> None:
    image = np.full((48, 64, 1), 60, np.uint8)
    image[20:26, 30:40] = 200
    mask = np.where(image[:, :, 0] == 200, 255, 0).astype(np.uint8)
    augmenter = Augmenter.of(Policy.model_validate({"shift": {"max_fraction": 0.2}}), full=True)
    made, moved = augmenter.with_mask(image, mask, seed=0, sample_id="a", view=0)
    np.testing.assert_array_equal(made, augmenter(image, seed=0, sample_id="a", view=0))
    assert moved[:, :, None][made > 190].all()
    assert (moved != mask).any()


def test_an_empty_policy_leaves_the_image_as_it_is(image: Pixels) -> None:
    np.testing.assert_array_equal(views(Augmenter.of(Policy()), image, 1)[0], image)


def test_a_damaged_policy_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text("{}")
    with pytest.raises(TrainingError, match=r"policy\.json is not an augmentation policy"):
        Augmenter.read(tmp_path / "policy.json")
