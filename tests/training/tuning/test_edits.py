"""Edits of YAML that keep what a person wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pipeline.contracts.spec import Preprocessing
from pipeline.errors import ConfigError
from pipeline.training.tuning.edits import edited

TEXT = """# What is done to the pixels.
spec:
  # roi: {x_px: 100, y_px: 50, width_px: 800, height_px: 800}
  colour: "rgb"            # or grey
  width_px: 224    # from 300
  height_px: 224
  tiles: {rows: 2, columns: 3, overlap: 0.15}
  fit: letterbox
sheet_per_class: 4
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "preprocess.yaml"
    path.write_text(TEXT)
    return path


def test_comments_quotes_and_order_stay(file: Path) -> None:
    text = edited(file, {"width_px": 320, "fit": "stretch"}, "spec", Preprocessing)
    changed = TEXT.replace("width_px: 224 ", "width_px: 320 ").replace("letterbox", "stretch")
    assert text == changed


def test_nested_settings_are_written_and_taken_away(file: Path) -> None:
    roi = {"x_px": 1, "y_px": 2, "width_px": 30, "height_px": 40}
    text = edited(file, {"roi": roi, "tiles": None}, "spec", Preprocessing)
    spec = yaml.safe_load(text)["spec"]
    assert spec["roi"] == roi
    assert "tiles" not in spec
    assert "# or grey" in text


def test_what_would_not_be_right_is_refused_with_the_file(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"preprocess\.yaml: spec\.width_px cannot be written"):
        edited(file, {"width_px": 1}, "spec", Preprocessing)


def test_a_file_without_the_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("other: 1\n")
    with pytest.raises(ConfigError, match='has no key "spec" with settings below it'):
        edited(tmp_path / "a.yaml", {"fit": "stretch"}, "spec", Preprocessing)
