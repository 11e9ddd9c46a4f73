"""The gate, applied to the figures of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.contracts.evaluation import Comparison, Gate, Golden, SplitSummary
from pipeline.datasets.manifest import Manifest
from pipeline.evaluation.doubts import data_doubts
from pipeline.evaluation.predictions import PartPredictions
from pipeline.metrics import gating
from pipeline.metrics.choice import MAX_REVIEW
from pipeline.metrics.gating import GateRules, Measured


def judge_gate(
    rules: GateRules,
    data: Manifest,
    test: PartPredictions,
    metrics: Mapping[str, Any],
    promise: Mapping[str, Any],
    golden_found: Golden | None,
    comparison: Comparison,
    *,
    split: SplitSummary,
    commit: str = "",
) -> Gate:
    """May the model be signed off without an override?

    Args:
        rules: what the plant insists on.
        data, test: the data set, and its test parts with their predictions.
        metrics: the content of metrics.json.
        promise: what the limits promise, see `metrics.operating_point.promise`.
        golden_found, comparison: parts never to be judged wrong; the champion on the same parts.
        split: has training seen test parts, and did somebody look?
        commit: of the code, as `lineage.git` writes it; empty where it is not known.
    """
    measured = Measured(
        test.bad, test.verdicts, test.groups(data), metrics["auroc"], metrics["auroc_ci95"]
    )
    point = metrics["operating_point"]
    decides = point["pass_below"] > 0 or point["fail_from"] <= 1
    return gating.gate(
        rules,
        measured,
        {**promise, "decides": decides} if any(test.taxonomy.passing) else None,
        leak="leaky" if split.leaky else "clean" if split.leak_checked else None,
        golden=golden_found,
        comparison=comparison,
        max_review=promise.get("max_review", MAX_REVIEW),
        doubts=data_doubts(data, test),
        commit=commit,
    )
