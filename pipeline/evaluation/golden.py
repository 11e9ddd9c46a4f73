"""The golden parts: a bad one that passes, or a good one that fails, is a miss."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.contracts.bundle import Bundle
from pipeline.contracts.evaluation import Golden, GoldenMiss
from pipeline.contracts.records import Verdict
from pipeline.datasets import golden
from pipeline.datasets.manifest import Manifest
from pipeline.evaluation.predictions import Watch, predict_parts


def check_golden(bundle: Bundle, data: Manifest, listed: Path, watch: Watch) -> Golden | None:
    """Judge the parts that no model may judge wrong; None where none are listed.

    A bad part that passes is a miss, and a good one that fails; what goes to review is not. Where
    no class passes, a part taken for another class is one.
    """
    ids = golden.read(listed, data.table, data.taxonomy)
    if not ids:
        return None
    row_of = {name: row for row, name in enumerate(data.table["sample_id"])}
    found = predict_parts(bundle, data, np.array([row_of[name] for name in ids], np.intp), watch)
    misses = [
        GoldenMiss(
            sample_id=name,
            wanted=data.taxonomy.names[label],
            verdict=seen.decision.verdict,
            reason=seen.decision.reason,
        )
        for name, label, bad, seen in zip(
            ids, found.labels, found.bad, found.inspections, strict=True
        )
        if (
            seen.decision.verdict == (Verdict.PASS if bad else Verdict.FAIL)
            if any(data.taxonomy.passing)
            else seen.decision.part_class != data.taxonomy.names[label]
        )
    ]
    sides = data.table["split"].iloc[found.rows].value_counts()
    splits = {str(side): int(n) for side, n in sides.items()}
    return Golden(n=len(ids), misses=tuple(misses), splits=splits)
