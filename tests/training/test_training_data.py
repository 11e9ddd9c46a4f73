"""Validation parts that training must not choose by."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.contracts.taxonomy import Disposition, PartClass, Taxonomy
from pipeline.training.training_data import ENOUGH_GROUPS, ENOUGH_PARTS, gather, set_aside
from tests.stages.conftest import TAXONOMY, Ran, ran

__all__ = ["ran"]


def validation(n_modules: int, cells: int, tiles: int = 1) -> pd.DataFrame:
    """Every module has as many good as bad cells, each in so many tiles."""
    n = n_modules * cells
    parts = pd.DataFrame(
        {
            "sample_id": [f"cell-{i}" for i in range(n)],
            "part_label": np.where(np.arange(n) % 2, "defective", "good"),
            "group": [f"module-{i // cells}" for i in range(n)],
        }
    )
    return parts.loc[parts.index.repeat(tiles)].reset_index(drop=True)


@pytest.mark.parametrize("tiles", [1, 4])
def test_half_of_enough_validation_parts_are_set_aside_by_group(tiles: int) -> None:
    index = validation(8, 20, tiles)
    aside = set_aside(index, TAXONOMY)
    kept = index[index["sample_id"].isin(aside)]
    rest = index[~index["sample_id"].isin(aside)]
    assert len(aside) == len(set(aside)) == 80
    assert not {*kept["group"]} & {*rest["group"]}
    assert aside == set_aside(index, TAXONOMY)


@pytest.mark.parametrize(
    ("n_modules", "cells"),
    [
        (2 * ENOUGH_PARTS, 2),  # each half 30 of a kind: just enough
        (2 * ENOUGH_PARTS - 4, 2),  # too few parts
        (2 * ENOUGH_GROUPS - 1, 100),  # too few modules
        (1, 400),
    ],
)
def test_too_few_parts_or_groups_are_not_parted(n_modules: int, cells: int) -> None:
    enough = n_modules == 2 * ENOUGH_PARTS
    assert bool(set_aside(validation(n_modules, cells), TAXONOMY)) == enough


def test_a_recipe_without_limits_needs_nothing_set_aside() -> None:
    scrap = tuple(
        PartClass(name=name, disposition=Disposition.SCRAP) for name in ("good", "defective")
    )
    assert set_aside(validation(8, 20), Taxonomy(classes=scrap)) == ()
    assert set_aside(validation(8, 20).iloc[:0], TAXONOMY) == ()


def test_weights_of_the_manifest_are_one_on_average(ran: Ran, tmp_path: Path) -> None:
    for name in ("ingest", "preprocess", "augment"):
        shutil.copytree(ran.data / name, tmp_path / name)
    file = tmp_path / "preprocess/index.parquet"
    index = pd.read_parquet(file)
    index["weight"] = np.where(index["label"] == "good", 1.0, 0.25)
    index.to_parquet(file, index=False)
    data = gather(tmp_path, soft_labels=0)
    good = data.images.index["label"] == "good"
    assert data.weights.mean() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(data.weights[~good], data.weights[good][0] / 4, rtol=1e-6)


def test_an_index_of_before_weights_counts_every_image_as_one(ran: Ran, tmp_path: Path) -> None:
    for name in ("ingest", "preprocess", "augment"):
        shutil.copytree(ran.data / name, tmp_path / name)
    file = tmp_path / "preprocess/index.parquet"
    pd.read_parquet(file).drop(columns="weight").to_parquet(file, index=False)
    data = gather(tmp_path, soft_labels=0)
    assert set(data.weights) == {1.0}
