"""`method: auto` takes the model of good parts while too few bad ones are known."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import pytest

from pipeline.contracts.taxonomy import Taxonomy
from pipeline.training.normal import too_few
from tests.stages.conftest import TAXONOMY


@dataclass(frozen=True)
class Data:
    """As much of the training data as is looked at."""

    index: pd.DataFrame
    taxonomy: Taxonomy = TAXONOMY


def parts(bad: int, groups: int, tiles: int = 1) -> Data:
    rows = [
        {"sample_id": f"b{i}", "part_label": "defective", "group": f"g{i % groups}"}
        for i in range(bad)
        for _ in range(tiles)
    ]
    rows += [{"sample_id": f"o{i}", "part_label": "good", "group": f"h{i}"} for i in range(30)]
    return Data(pd.DataFrame(rows))


@pytest.mark.parametrize(
    ("bad", "groups", "words"),
    [
        (0, 1, "no bad training part is known"),
        (1, 1, "1 bad training part of 1 group are known"),
        (19, 5, "19 bad training parts of 5 groups are known"),
        (40, 2, "40 bad training parts of 2 groups are known"),
    ],
)
def test_the_sentence_counts_what_is_known_and_names_what_it_takes(
    bad: int, groups: int, words: str
) -> None:
    said = too_few(parts(bad, groups))  # type: ignore[arg-type]
    assert said.startswith(f"method auto: normal, since {words}; ")
    assert said.endswith("a retraining takes the classifier from 20 of 3 groups on")


def test_enough_bad_parts_of_several_groups_are_left_to_a_classifier() -> None:
    assert too_few(parts(20, 3)) == ""  # type: ignore[arg-type]


def test_tiles_of_one_part_count_once() -> None:
    assert too_few(parts(10, 5, tiles=4)) != ""  # type: ignore[arg-type]
