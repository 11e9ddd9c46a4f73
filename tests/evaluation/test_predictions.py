"""Predictions of parts, by the code of the line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.datasets.manifest import Manifest
from pipeline.errors import DataError
from pipeline.evaluation.predictions import latencies_ms, predict_parts, run_inspectors
from pipeline.inference.inspector import Inspector
from tests.evaluation.conftest import parts, predictions, unwatched

BRIGHTNESS = {"light": 200, "doubtful": 128, "bad_dark": 50}


@pytest.fixture
def data(sealed_bundle: Bundle, tmp_path: Path) -> Manifest:
    return parts(sealed_bundle, tmp_path / "parts", BRIGHTNESS)


def test_each_part_gets_the_verdict_of_the_line_in_its_row(
    sealed_bundle: Bundle, data: Manifest
) -> None:
    found = predictions(sealed_bundle, data)
    alone = [Inspector(sealed_bundle).inspect(data.pixels(row)) for row in range(3)]
    assert found.verdicts.tolist() == [str(one.decision.verdict) for one in alone]
    assert found.verdicts.tolist() == ["PASS", "REVIEW", "FAIL"]
    assert found.scores.tolist() == [one.defect_score for one in alone]
    assert found.bad.tolist() == [False, False, True]
    assert found.groups(data) == list(BRIGHTNESS)


def test_rows_are_answered_in_their_order_whichever_thread_is_first(
    sealed_bundle: Bundle,
) -> None:
    rows = np.random.default_rng(0).permutation(50)
    assert list(run_inspectors(sealed_bundle, rows, lambda _, row: row)) == rows.tolist()


def test_no_rows_have_predictions_of_no_parts(sealed_bundle: Bundle, data: Manifest) -> None:
    found = predict_parts(sealed_bundle, data, np.empty(0, np.intp), unwatched)
    assert found.probabilities.shape == (0, 2)
    assert found.verdicts.tolist() == []


def test_an_image_that_changed_since_it_was_ingested_is_not_judged(
    sealed_bundle: Bundle, data: Manifest, tmp_path: Path
) -> None:
    path = tmp_path / "parts/light.png"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(DataError, match="has changed since it was ingested"):
        predictions(sealed_bundle, data)


def test_latency_is_measured_on_each_of_a_few_parts(sealed_bundle: Bundle, data: Manifest) -> None:
    found = latencies_ms(sealed_bundle, data, np.arange(3))
    assert len(found) == 3
    assert min(found) > 0
