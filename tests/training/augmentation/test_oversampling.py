"""Oversampling: rare classes are shown more often, within bounds, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import TrainingError
from pipeline.training.augmentation import oversampling
from pipeline.training.augmentation.oversampling import Oversample, extra_views


def test_a_rare_class_reaches_its_share_of_the_largest() -> None:
    extra = extra_views(["good"] * 100 + ["crack"] * 20, 1, Oversample(share=0.5))
    assert not extra[:100].any()
    assert 20 * 2 + extra[100:].sum() == 0.5 * 100 * 2


def test_no_image_is_shown_more_often_than_the_factor_allows() -> None:
    extra = extra_views(["good"] * 100 + ["crack"] * 2, 1, Oversample(share=1, max_factor=4))
    assert extra[100:].tolist() == [6, 6]


def test_what_does_not_divide_is_spread_evenly_over_the_class() -> None:
    extra = extra_views(["good"] * 14 + ["crack"] * 10, 0, Oversample(share=1))
    assert extra[14:].tolist() == [1, 0, 1, 0, 0, 1, 0, 1, 0, 0]


def test_without_settings_nothing_is_shown_more_often() -> None:
    assert not extra_views(["good"] * 9 + ["crack"], 2, Oversample()).any()
    assert len(extra_views([], 2, Oversample(share=1))) == 0


@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    views=st.integers(0, 3),
    share=st.floats(0, 1),
    factor=st.integers(1, 9),
)
def test_every_class_reaches_its_share_or_the_factor(
    counts: list[int], views: int, share: float, factor: int
) -> None:
    labels = [str(c) for c, n in enumerate(counts) for _ in range(n)]
    extra = extra_views(labels, views, Oversample(share=share, max_factor=factor))
    shown = 1 + views + extra
    assert (shown <= factor * (1 + views)).all()
    goal = share * max(counts) * (1 + views)
    for c in range(len(counts)):
        mine = shown[np.asarray(labels) == str(c)]
        assert np.ptp(mine) <= 1
        assert mine.sum() >= goal - 1e-6 or (mine == factor * (1 + views)).all()
        assert mine.sum() < goal + 1 or (mine == 1 + views).all()


def test_the_settings_are_read_as_they_were_written(tmp_path: Path) -> None:
    oversampling.write(tmp_path, Oversample(share=0.3, max_factor=5))
    assert oversampling.read(tmp_path) == Oversample(share=0.3, max_factor=5)


@pytest.mark.parametrize("damaged", ["", "{", '{"share": 7}'])
def test_a_damaged_file_is_named(tmp_path: Path, damaged: str) -> None:
    (tmp_path / oversampling.FILE).write_text(damaged)
    with pytest.raises(TrainingError, match=r"oversample\.json is not a valid oversampling file"):
        oversampling.read(tmp_path)
