"""Larger inputs are tried beside a training whose pictures are much shrunk."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.contracts.spec import Contour, PreprocessSpec
from pipeline.training.settings import Settings
from pipeline.training.tuning.larger import try_larger
from tests.stages.conftest import Ran

pytestmark = pytest.mark.slow

SETTINGS = Settings.model_validate({"architecture": "lenet5", "weights": "none", "scales": [1.0]})


def passed_on(items: Iterable[Any], what: str, total: int, *, done: int = 0) -> Iterator[Any]:
    yield from items


def tried(ran: Ran, work: Path, spec: PreprocessSpec, settings: Settings = SETTINGS) -> Any:
    return try_larger(ran.data, spec, settings, None, work, passed_on)


def test_each_larger_input_has_its_gain_and_cost_in_words_and_numbers(
    ran: Ran, tmp_path: Path
) -> None:
    found = tried(ran, tmp_path, PreprocessSpec(colour="grey", width_px=96, height_px=96))
    trials = found["larger"]["trials"]
    assert [t["settings"] for t in trials][:2] == ["128x128", "192x192"]
    assert all(len(t["gain"]) == 3 and t["ms"] > 0 for t in trials)
    assert re.match(
        r"on \d+ training images, by a plain head, 128x128 changed AUROC by [+-]0\.\d{3} \(",
        found["larger"]["in_words"],
    )


def test_pictures_that_keep_a_third_of_their_pixels_are_not_tried(ran: Ran, tmp_path: Path) -> None:
    assert tried(ran, tmp_path, PreprocessSpec(width_px=224, height_px=224)) == {}


def test_of_a_part_that_is_located_first_nothing_is_known_before(ran: Ran, tmp_path: Path) -> None:
    located = Contour(by="contour", part="brighter")
    spec = PreprocessSpec(width_px=96, height_px=96, locate=located)
    assert tried(ran, tmp_path, spec) == {}


def test_without_trials_nothing_is_tried(ran: Ran, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"trials": False})
    assert tried(ran, tmp_path, PreprocessSpec(width_px=96, height_px=96), settings) == {}
