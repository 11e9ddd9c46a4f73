"""Synthetic images: of training parts, with their labels, and with the groups they came from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets import shards
from pipeline.datasets.shards import Shards
from pipeline.errors import DataError
from pipeline.training.augmentation import synthetic
from pipeline.training.augmentation.pasting import Paste
from tests.training.augmentation.conftest import SIDE, TAXONOMY, Store, disc

SOUND = np.zeros((SIDE, SIDE), np.uint8)
PASTE = Paste(images_per_class=5, max_shift=0.3)
LABELS = ["good", "good", "pit", "pit", "stain", "good"]
MASKS = [SOUND, SOUND, disc(30, 30, 4), disc(20, 40, 5), disc(32, 20, 6), SOUND]
ALL = np.arange(len(LABELS))


def test_each_bad_class_gets_as_many_as_asked_from_good_and_bad_training_parts(
    store: Store,
) -> None:
    stored = store(LABELS, MASKS)
    training = np.array([0, 1, 2, 4])
    made = list(synthetic.make(stored, training, TAXONOMY, PASTE))
    assert [p.label for p in made] == ["pit"] * 5 + ["stain"] * 5
    assert {p.background for p in made} == {0, 1}
    assert {(p.label, p.donor) for p in made} == {("pit", 2), ("stain", 4)}


def test_the_same_seed_makes_the_same_images_and_another_others(store: Store) -> None:
    stored = store(LABELS, MASKS)
    other = PASTE.model_copy(update={"seed": 1})
    first, again, changed = (
        np.stack([p.image for p in synthetic.make(stored, ALL, TAXONOMY, c)])
        for c in (PASTE, PASTE, other)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != changed).any()


def test_more_images_of_a_class_begin_with_the_same_ones(store: Store) -> None:
    stored = store(LABELS, MASKS)
    few, many = (
        [
            p.image
            for p in synthetic.make(
                stored, ALL, TAXONOMY, PASTE.model_copy(update={"images_per_class": n})
            )
            if p.label == "stain"
        ]
        for n in (3, 8)
    )
    np.testing.assert_array_equal(few, many[:3])


def test_a_defect_stays_with_its_product_variant(store: Store) -> None:
    stored = store(LABELS, MASKS, variant=["a", "b", "a", "b", "c", "b"])
    made = list(synthetic.make(stored, ALL, TAXONOMY, PASTE))
    assert {(p.donor, p.background) for p in made} <= {(2, 0), (3, 1), (3, 5)}
    assert {p.label for p in made} == {"pit"}


def test_without_masks_the_adapters_that_have_them_are_named(store: Store) -> None:
    stored = store(LABELS, None)
    with pytest.raises(DataError, match=r"masks or boxes.*adapters masks, mvtec and rle"):
        list(synthetic.make(stored, ALL, TAXONOMY, PASTE))


def test_without_good_parts_there_is_nothing_to_paste_into(store: Store) -> None:
    stored = store(LABELS, MASKS)
    with pytest.raises(DataError, match="needs training images of good parts"):
        list(synthetic.make(stored, np.array([2, 3]), TAXONOMY, PASTE))


def test_defects_cut_by_the_border_only_are_one_clear_error(store: Store) -> None:
    stored = store(["good", "pit"], [SOUND, disc(0, 30, 5)])
    with pytest.raises(DataError, match="no defect to cut out"):
        list(synthetic.make(stored, np.arange(2), TAXONOMY, PASTE))


def test_what_is_written_reads_like_any_shards_with_donor_and_background(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = store(LABELS, MASKS, defect_probability=[0, 0, 0.9, 0.9, 0.6, 0])
    monkeypatch.setattr(shards, "SHARD_BYTES", 4 * SIDE * SIDE)  # 4 images a shard
    pasted = list(synthetic.make(stored, ALL, TAXONOMY, PASTE))
    synthetic.write(tmp_path / "made", stored, iter(pasted))
    made = Shards(tmp_path / "made")
    assert sorted(p.name for p in (tmp_path / "made").glob("images-*")) == [
        f"images-000{i}.npy" for i in range(3)
    ]
    assert set(stored.index.columns) < set(made.index.columns)
    for i, one in enumerate(pasted):
        row = made.index.iloc[i]
        np.testing.assert_array_equal(made[i], one.image)
        np.testing.assert_array_equal(made.mask(i), one.mask)
        assert (row["donor"], row["group"]) == (f"s{one.donor}", f"g{one.donor}")
        assert row["background"] == f"s{one.background}"
        assert row["background_group"] == f"g{one.background}"
        assert (row["label"], row["split"]) == (one.label, "train")
        assert row["defect_probability"] == stored.index["defect_probability"].iat[one.donor]
    assert made.index["sample_id"].is_unique
    assert set(made.index["sample_id"]).isdisjoint(stored.index["sample_id"])


@pytest.mark.parametrize("n", [4, 8])
def test_shards_that_are_just_full_are_written_once(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int
) -> None:
    stored = store(LABELS, MASKS)
    monkeypatch.setattr(shards, "SHARD_BYTES", 4 * SIDE * SIDE)
    wish = PASTE.model_copy(update={"images_per_class": n // 2})
    pasted = list(synthetic.make(stored, ALL, TAXONOMY, wish))
    synthetic.write(tmp_path / "made", stored, iter(pasted))
    made = Shards(tmp_path / "made")
    np.testing.assert_array_equal(made.stack(np.arange(n)), [p.image for p in pasted])


def test_training_images_are_the_real_ones_then_the_synthetic(store: Store, tmp_path: Path) -> None:
    stored = store(LABELS, MASKS)
    rows = np.array([1, 2, 4])
    pasted = list(synthetic.make(stored, rows, TAXONOMY, PASTE))
    synthetic.write(tmp_path / "made", stored, iter(pasted))
    images = synthetic.TrainingImages(stored, rows, Shards(tmp_path / "made"))
    assert (images.n_real, len(images)) == (3, 13)
    assert images.index["sample_id"].tolist()[:4] == ["s1", "s2", "s4", "pasted/pit/00001"]
    np.testing.assert_array_equal(images[2], stored[4])
    np.testing.assert_array_equal(images.stack(np.array([3, 0]))[0], pasted[0].image)
    assert images.parents == [frozenset({"g2", "g1"})] * 5 + [frozenset({"g4", "g1"})] * 5


def test_without_synthetic_images_there_are_only_the_real_ones(
    store: Store, tmp_path: Path
) -> None:
    stored = store(LABELS, None)
    synthetic.write(tmp_path / "made", stored, ())
    images = synthetic.TrainingImages(stored, ALL, Shards(tmp_path / "made"))
    assert len(images) == images.n_real == len(LABELS)
    assert images.parents == []
    assert images.index["sample_id"].tolist() == stored.index["sample_id"].tolist()


def test_a_taxonomy_without_good_class_has_nothing_to_paste_into(store: Store) -> None:
    stored = store(["pit", "stain"], [disc(30, 30, 4), disc(20, 40, 5)])
    bad_only = Taxonomy.model_validate(
        {"classes": [c.model_dump() for c in TAXONOMY.classes if c.name != "good"]}
    )
    with pytest.raises(DataError, match="needs training images of good parts"):
        list(synthetic.make(stored, np.arange(2), bad_only, PASTE))
