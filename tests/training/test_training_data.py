"""Validation parts that training must not choose by."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.contracts.taxonomy import Disposition, PartClass, Taxonomy
from pipeline.training.training_data import ENOUGH_GROUPS, ENOUGH_PARTS, set_aside
from tests.stages.conftest import TAXONOMY


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
