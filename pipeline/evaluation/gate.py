"""The gate, applied to the figures of an evaluation."""

from __future__ import annotations

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
    metrics: dict[str, Any],
    golden_found: Golden | None,
    comparison: Comparison,
) -> Gate:
    """May the model be signed off without an override?"""
    measured = gating.measured(
        test.bad, test.verdicts, test.groups(data), metrics["auroc"], metrics["auroc_ci95"]
    )
    point = metrics["operating_point"]
    decides = point["pass_below"] > 0 or point["fail_from"] <= 1
    return gating.gate(
        rules,
        measured,
        {**metrics["promise"], "decides": decides} if any(test.taxonomy.passing) else None,
        leaky=metrics["split"]["leaky"],
        golden=golden_found,
        comparison=comparison,
    )
