"""Defect classes by how often they occur, and what becomes of their parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.contracts.records import Verdict
from pipeline.contracts.taxonomy import Taxonomy


@dataclass(frozen=True)
class DefectClass:
    """One defect class among the test parts.

    Attributes:
        name: of the class.
        n: its parts.
        share, cumulative: of all bad parts, alone and with the classes before it; 0 to 1.
        passed, looked_at, failed: its parts by verdict.
    """

    name: str
    n: int
    share: float
    cumulative: float
    passed: int
    looked_at: int
    failed: int


def pareto(labels: Sequence[str], verdicts: Sequence[str], taxonomy: Taxonomy) -> list[DefectClass]:
    """The defect classes that the test has parts of, the most frequent first.

    Args:
        labels, verdicts: of the test parts, N.
        taxonomy: the classes; those that pass are no defects.
    """
    named, judged = np.asarray(labels, dtype=str), np.asarray(verdicts, dtype=str)
    counts = {name: int((named == name).sum()) for name in taxonomy.names}
    there = [name for name in taxonomy.names if counts[name] and name not in taxonomy.good]
    there.sort(key=lambda name: -counts[name])
    n_bad, so_far, found = sum(counts[name] for name in there), 0, []
    for name in there:
        so_far += counts[name]
        passed, looked_at, failed = (
            int((judged[named == name] == verdict).sum())
            for verdict in (Verdict.PASS, Verdict.REVIEW, Verdict.FAIL)
        )
        shares = counts[name] / n_bad, so_far / n_bad
        found.append(DefectClass(name, counts[name], *shares, passed, looked_at, failed))
    return found
