"""By what the figures of test parts are divided."""

from __future__ import annotations

from pathlib import Path

from pipeline.contracts.bundle import Bundle
from pipeline.evaluation.slices import slice_metrics
from tests.evaluation.conftest import parts, predictions

BRIGHTNESS = {"a": 200, "b": 200, "bad_a": 50, "bad_b": 50}


def test_every_part_is_counted_in_its_variant(sealed_bundle: Bundle, tmp_path: Path) -> None:
    data = parts(sealed_bundle, tmp_path / "parts", BRIGHTNESS)
    data.table["variant"] = ["red", "red", "red", "blue"]
    found = slice_metrics(data, predictions(sealed_bundle, data)).slices
    by_variant = {s.name: s.n for s in found if s.by == "variant"}
    assert by_variant == {"red": 3, "blue": 1}


def test_a_folder_of_one_class_is_not_a_source(sealed_bundle: Bundle, tmp_path: Path) -> None:
    data = parts(sealed_bundle, tmp_path / "parts", BRIGHTNESS)
    test = predictions(sealed_bundle, data)
    by_class = ["good/a.png", "good/b.png", "bad/a.png", "bad/b.png"]
    by_camera = ["one/a.png", "two/b.png", "one/c.png", "two/d.png"]
    data.table["path"] = by_class
    assert {s.by for s in slice_metrics(data, test).slices} <= {"class", "variant", "group"}
    data.table["path"] = by_camera
    sources = [s.name for s in slice_metrics(data, test).slices if s.by == "source"]
    assert sorted(sources) == ["one", "two"]
