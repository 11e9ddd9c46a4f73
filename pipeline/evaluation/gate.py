"""The gate, applied to the figures of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.contracts.evaluation import Comparison, Gate, Golden
from pipeline.datasets.manifest import Manifest
from pipeline.evaluation.predictions import PartPredictions
from pipeline.metrics import gating
from pipeline.metrics.gating import GateRules


def judge_gate(
    rules: GateRules,
    data: Manifest,
    test: PartPredictions,
    metrics: Mapping[str, Any],
    promise: Mapping[str, Any],
    golden_found: Golden | None,
    comparison: Comparison,
    *,
    leaky: bool,
) -> Gate:
    """May the model be signed off without an override?

    Args:
        rules: what the plant asks of a model.
        data, test: the test parts and their predictions.
        metrics: the content of metrics.json.
        promise: what the limits promise, see `metrics.operating_point.promise`.
        golden_found, comparison: parts never to be judged wrong; the champion on the same parts.
        leaky: has training seen test parts?
    """
    measured = gating.measured(
        test.bad, test.verdicts, test.groups(data), metrics["auroc"], metrics["auroc_ci95"]
    )
    point = metrics["operating_point"]
    decides = point["pass_below"] > 0 or point["fail_from"] <= 1
    return gating.gate(
        rules,
        measured,
        {**promise, "decides": decides} if any(test.taxonomy.passing) else None,
        leaky=leaky,
        golden=golden_found,
        comparison=comparison,
    )
