"""Out-of-fold scores on their way from train to evaluate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.datasets import scores


def test_scores_come_back_bit_for_bit_in_order(tmp_path: Path) -> None:
    given = np.random.default_rng(0).random((3, 2)).astype(np.float32)
    scores.write(tmp_path / "s.parquet", ["c", "a", "b"], given, ["good", "bad"])
    ids, got = scores.read(tmp_path / "s.parquet")
    assert ids == ["c", "a", "b"]
    assert got.dtype == np.float32
    assert (got == given).all()


def test_columns_are_named_like_the_classes(tmp_path: Path) -> None:
    scores.write(tmp_path / "s.parquet", ["a"], np.ones((1, 2), np.float32), ["good", "bad"])
    columns = pd.read_parquet(tmp_path / "s.parquet").columns.tolist()
    assert columns == ["sample_id", "p_good", "p_bad"]


def test_no_file_means_no_scores(tmp_path: Path) -> None:
    ids, got = scores.read(tmp_path / "none.parquet")
    assert (ids, got.shape) == ([], (0, 0))
