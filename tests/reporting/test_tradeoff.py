"""What other limits would have done, as the station would."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline.contracts.bundle import OperatingPoint
from pipeline.contracts.records import Verdict
from pipeline.errors import DataError
from pipeline.inference.decide import decide
from pipeline.reporting import tradeoff
from pipeline.reporting.evaluation import Page


@pytest.mark.parametrize(("low", "high"), [(0.2, 0.8), (0.5, 0.5), (0.0, 1.1), (0.0, 0.0)])
def test_verdicts_at_any_limits_are_those_of_the_station(
    page: Page, low: float, high: float
) -> None:
    taxonomy, table = page.bundle.taxonomy, page.predictions
    parts = tradeoff.of(table, taxonomy, page.bundle.operating_point)
    point = OperatingPoint(pass_below=low, fail_from=high)
    chances = tradeoff.probabilities(table, taxonomy.names).astype(np.float32)
    station = [
        decide(row, taxonomy, point, said or None).verdict
        for row, said in zip(chances, table["complaint"], strict=True)
    ]
    assert parts.verdicts(low, high).tolist() == station


def test_predictions_of_another_evaluation_are_refused_by_the_part(page: Page) -> None:
    table = page.predictions.copy()
    row = int(np.flatnonzero(table["verdict"] == Verdict.PASS)[0])
    table.loc[row, "verdict"] = Verdict.FAIL
    with pytest.raises(DataError, match=f"{table['sample_id'][row]} has the verdict FAIL"):
        tradeoff.of(table, page.bundle.taxonomy, page.bundle.operating_point)


def test_a_step_of_a_limit_moves_one_part(page: Page) -> None:
    parts = tradeoff.of(page.predictions, page.bundle.taxonomy, page.bundle.operating_point)
    limits = parts.limits()
    below = [(parts.scores < limit).sum() for limit in limits]
    assert limits == sorted(set(limits))
    assert np.diff(below).max() == 1
    assert (below[0], below[-1]) == (0, len(parts.scores))


def test_many_parts_have_steps_that_a_slider_can_take() -> None:
    n = 5 * tradeoff.STEPS
    scores, none = np.linspace(0, 1, n), np.zeros(n, bool)
    point = OperatingPoint(pass_below=0.123456789, fail_from=0.7)
    limits = tradeoff.Tradeoff(scores, scores, none, none, point).limits()
    assert len(limits) <= tradeoff.STEPS + 4
    assert {0.123456789, 0.7} <= set(limits)


def test_the_embedded_facts_start_at_the_limits_of_the_bundle_exactly(page: Page) -> None:
    point = page.bundle.operating_point
    parts = tradeoff.of(page.predictions, page.bundle.taxonomy, point)
    found = json.loads(str(parts.json()))
    assert found["limits"][found["pass_at"]] == point.pass_below
    assert found["limits"][found["fail_at"]] == point.fail_from
    assert found["scores"] == page.predictions["defect_score"].tolist()


def test_the_histogram_counts_every_part_once(page: Page) -> None:
    parts = tradeoff.of(page.predictions, page.bundle.taxonomy, page.bundle.operating_point)
    bars = parts.bars()
    assert sum(b.bad for b in bars) == page.metrics["n_test_bad"]
    assert sum(b.good + b.bad for b in bars) == page.metrics["n_test"]


def test_a_part_in_tiles_fails_by_a_tile_that_is_not_the_highest() -> None:
    """One tile at 0.9 looks like what people look at, another at 0.6 like what is scrapped."""
    one, no = np.array([0.9]), np.array([False])
    point = OperatingPoint(pass_below=0.3, fail_from=0.5)
    parts = tradeoff.Tradeoff(one, np.array([0.6]), ~no, no, point)
    said = [str(*parts.verdicts(low, high)) for low, high in ((0.3, 0.5), (0.3, 0.7), (0.95, 1.0))]
    assert said == ["FAIL", "REVIEW", "PASS"]
    assert {0.6, 0.9} <= set(parts.limits())


def test_embedded_json_cannot_end_its_element() -> None:
    text = tradeoff.as_json({"name": "</script><!--&"})
    assert "<" not in text
    assert json.loads(str(text)) == {"name": "</script><!--&"}
