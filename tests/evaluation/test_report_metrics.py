"""The figures of metrics.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.evaluation.report_metrics import Measurement, report_metrics
from tests.evaluation.conftest import parts, predictions

SPLIT = {"by": "source", "n_groups": 9, "leak_checked": True, "leaky": False}
# Of four bad parts one passes, of four good ones one fails and one goes to review.
BRIGHTNESS = {
    **{"a": 200, "b": 210, "c": 50, "d": 128},
    **{"bad_a": 50, "bad_b": 60, "bad_c": 55, "bad_d": 190},
}


def figures(
    bundle: Bundle,
    root: Path,
    brightness: dict[str, int],
    naive: dict[str, Any] | None = None,
    **split: object,
) -> Measurement:
    data = parts(bundle, root, brightness)
    data.report["split"] = SPLIT | split
    return report_metrics(predictions(bundle, data), data, naive)


def test_rates_are_counted_from_the_verdicts(sealed_bundle: Bundle, tmp_path: Path) -> None:
    found = figures(sealed_bundle, tmp_path / "parts", BRIGHTNESS).metrics
    assert (found["n_test"], found["n_test_bad"]) == (8, 4)
    assert (found["escape_rate"], found["overkill_rate"]) == (0.25, 0.25)
    assert found["review_rate"] == 1 / 8
    low, high = found["escape_rate_ci95"]
    assert low < 0.25 < high


def test_without_a_bad_part_escapes_are_not_defined(sealed_bundle: Bundle, tmp_path: Path) -> None:
    measured = figures(sealed_bundle, tmp_path / "parts", {"a": 200, "b": 210})
    found = measured.metrics
    assert (found["escape_rate"], found["escape_rate_ci95"], found["auroc"]) == (None, None, None)
    assert "the test split has no bad part: escape_rate is not defined" in measured.notes
    assert any("no part of class defective" in note for note in measured.notes)


@pytest.mark.parametrize(
    ("given", "note"),
    [
        ({"leaky": True}, "the split is LEAKY"),
        ({"naive": {"accuracy": 1.0, "n_test": 30}}, "would reach accuracy 100"),
    ],
)
def test_a_leak_stands_in_the_notes(
    sealed_bundle: Bundle, tmp_path: Path, given: dict[str, Any], note: str
) -> None:
    found = figures(sealed_bundle, tmp_path / "parts", BRIGHTNESS, **given)
    assert any(note in line for line in found.notes)
