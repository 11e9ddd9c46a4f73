"""Wrong labels and unusable images among the test parts are named for who signs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.contracts.bundle import Bundle
from pipeline.evaluation.doubts import data_doubts
from tests.evaluation.conftest import parts, predictions

BRIGHTNESS = {"good_0": 200, "good_1": 190, "bad_0": 50, "bad_1": 60}
HEALTHY: dict[str, Any] = {"label_conflicts": [], "corrupt": [], "suspects": {"images": []}}


def doubts(
    bundle: Bundle, root: Path, brightness: dict[str, int] = BRIGHTNESS, **noticed: object
) -> list[str]:
    """The doubts about parts of these grey levels, with what ingest has noticed."""
    data = parts(bundle, root, brightness)
    data = replace(data, report=HEALTHY | noticed)
    return data_doubts(data, predictions(bundle, data))


def test_parts_without_a_doubt_are_not_doubted(sealed_bundle: Bundle, tmp_path: Path) -> None:
    assert doubts(sealed_bundle, tmp_path / "parts") == []


def test_a_picture_with_two_labels_is_named_where_it_is_a_test_part(
    sealed_bundle: Bundle, tmp_path: Path
) -> None:
    pairs = [["good_0.png", "train.png"], ["other.png", "another.png"]]
    (said,) = doubts(sealed_bundle, tmp_path / "parts", label_conflicts=pairs)
    assert said.startswith(
        "1 test part has the same picture as one with another label (good_0.png)"
    )


def test_a_label_that_model_and_texture_both_contradict_is_named(
    sealed_bundle: Bundle, tmp_path: Path
) -> None:
    """The bright part that is called bad; the texture alone also doubts one that is fine."""
    seen = {"images": [{"path": f"{name}.png", "likely": "good"} for name in ("bad_0", "bad_9")]}
    brightness = BRIGHTNESS | {"bad_9": 255}
    (said,) = doubts(sealed_bundle, tmp_path / "parts", brightness, suspects=seen)
    assert said.startswith("1 test part has probably a wrong label")
    assert "(bad_9.png)" in said


def test_damaged_and_nearly_black_images_are_counted_and_the_first_named(
    sealed_bundle: Bundle, tmp_path: Path
) -> None:
    black = {f"bad_{i}": 1 for i in range(5)}
    noticed = {
        "corrupt": [{"path": "torn.png", "reason": "truncated"}],
        "nearly_black": [*(f"{name}.png" for name in black), "train.png"],
    }
    said = doubts(sealed_bundle, tmp_path / "parts", BRIGHTNESS | black, **noticed)
    assert said == [
        "1 damaged image was left out of the data set (torn.png): export again",
        "5 test parts have a nearly black picture (bad_0.png, bad_1.png, bad_2.png and 2 "
        "more): look at it, and take it again if the part was lit",
    ]
