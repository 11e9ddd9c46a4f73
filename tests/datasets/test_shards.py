"""Prepared images in large files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.contracts.spec import PreprocessSpec
from pipeline.datasets import shards
from pipeline.datasets.shards import Shards, name_of, parts_per_shard
from pipeline.files import write_model

SPEC = PreprocessSpec(colour="grey", width_px=10, height_px=8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two shards, of 3 and 2 images; image i is filled with the value i."""
    values = np.arange(5, dtype=np.uint8)[:, None, None, None]
    images = np.broadcast_to(values, (5, *SPEC.shape))
    np.save(tmp_path / name_of(0), images[:3])
    np.save(tmp_path / name_of(1), images[3:])
    index = pd.DataFrame(
        {"sample_id": list("abcde"), "shard": [0, 0, 0, 1, 1], "row": [0, 1, 2, 0, 1]}
    )
    index.to_parquet(tmp_path / shards.INDEX, index=False)
    write_model(tmp_path / shards.SPEC, SPEC)
    return tmp_path


def test_positions_follow_the_index_across_shards(folder: Path) -> None:
    stored = Shards(folder)
    assert len(stored) == 5
    assert [int(stored[i].max()) for i in range(5)] == [0, 1, 2, 3, 4]
    assert stored[4].shape == stored.spec.shape == (8, 10, 1)
    assert stored[4].dtype == np.uint8


def test_an_index_in_another_order_moves_the_images_along(folder: Path) -> None:
    index = pd.read_parquet(folder / shards.INDEX).iloc[::-1]
    index.to_parquet(folder / shards.INDEX, index=False)
    stored = Shards(folder)
    assert stored.index["sample_id"].iat[0] == "e"
    assert [int(stored[i].max()) for i in range(5)] == [4, 3, 2, 1, 0]


def test_a_stack_keeps_the_order_asked_for_and_repeats(folder: Path) -> None:
    stack = Shards(folder).stack(np.array([4, 0, 3, 3, 1]))
    assert stack.shape == (5, 8, 10, 1)
    assert stack.dtype == np.uint8
    assert stack[:, 0, 0, 0].tolist() == [4, 0, 3, 3, 1]


def test_images_are_mapped_from_the_file_not_loaded(folder: Path) -> None:
    stored = Shards(folder)
    on_disk = np.load(folder / name_of(0), mmap_mode="r+")
    on_disk[1] = 99
    on_disk.flush()
    assert (stored[1] == 99).all()


def test_an_image_is_a_copy_that_may_be_changed(folder: Path) -> None:
    stored = Shards(folder)
    image = stored[2]
    image[:] = 50
    assert (stored[2] == 2).all()
    assert (np.load(folder / name_of(0))[2] == 2).all()


def test_an_empty_index_has_no_images(folder: Path) -> None:
    pd.read_parquet(folder / shards.INDEX).iloc[:0].to_parquet(folder / shards.INDEX)
    assert len(Shards(folder)) == 0


def test_a_shard_is_as_full_as_its_size_allows() -> None:
    n = parts_per_shard(SPEC)
    assert n * 80 <= shards.SHARD_BYTES < (n + 1) * 80


def test_an_image_larger_than_a_shard_gets_one_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_BYTES", 79)
    assert parts_per_shard(SPEC) == 1


def test_it_is_known_whether_marks_give_tiles_their_labels(folder: Path) -> None:
    assert not Shards(folder).has_marks
    shapes = [np.load(file).shape[:3] for file in sorted(folder.glob("images-*.npy"))]
    for number, shape in enumerate(shapes):
        np.save(folder / name_of(number, "masks"), np.zeros(shape, np.uint8))
    assert Shards(folder).has_marks


def test_masks_follow_the_images_and_are_none_where_the_data_set_has_none(folder: Path) -> None:
    assert Shards(folder).mask(0) is None
    masks = np.arange(5, dtype=np.uint8)[:, None, None]
    filled = np.broadcast_to(masks, (5, 8, 10))
    np.save(folder / name_of(0, shards.MASKS), filled[:3])
    np.save(folder / name_of(1, shards.MASKS), filled[3:])
    mask = Shards(folder).mask(4)
    assert mask is not None
    assert mask.shape == (8, 10)
    assert set(mask.ravel()) == {4}
