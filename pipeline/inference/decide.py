"""Prediction and operating point to verdict. Pure, and the only place where a verdict is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pipeline.contracts.bundle import OperatingPoint
from pipeline.contracts.records import Decision, Verdict
from pipeline.contracts.taxonomy import Disposition, PartClass, Taxonomy

Floats = npt.NDArray[np.float32]


def defect_scores(probabilities: Floats, taxonomy: Taxonomy) -> npt.NDArray[np.float64]:
    """Probability that each part is not good: float64 N, from probabilities float32 N,K."""
    bad = ~np.array(taxonomy.passing)
    scores: npt.NDArray[np.float64] = probabilities[:, bad].astype(np.float64).sum(axis=1)
    return scores.clip(0.0, 1.0)


def worst(decisions: Sequence[Decision]) -> int:
    """Which of a part's tiles decides: FAIL before REVIEW before PASS, then the highest score."""
    order = (Verdict.PASS, Verdict.REVIEW, Verdict.FAIL)
    ranks = [(order.index(d.verdict), d.defect_score) for d in decisions]
    return ranks.index(max(ranks))


def decide(
    probabilities: Floats,
    taxonomy: Taxonomy,
    point: OperatingPoint,
    image_reason: str | None = None,
) -> Decision:
    """Judge one part.

    Args:
        probabilities: float32 K, in the taxonomy's order.
        taxonomy: classes and their dispositions.
        point: limits on the defect score.
        image_reason: why the picture is unlike all that the network has learned from,
            if it is.

    Returns:
        PASS below `pass_below`; from `fail_from` on FAIL, or REVIEW when the class it looks like is
        one that people look at; REVIEW in between. With an image reason PASS becomes REVIEW: it
        was not measured how often such a picture hides a defect. A FAIL stays: the part leaves the
        line either way.
    """
    decision = _judge(probabilities, taxonomy, point)
    if image_reason is None:
        return decision
    verdict = Verdict.REVIEW if decision.verdict is Verdict.PASS else decision.verdict
    return replace(decision, verdict=verdict, reason=f"{image_reason}; {decision.reason}")


def _judge(probabilities: Floats, taxonomy: Taxonomy, point: OperatingPoint) -> Decision:
    score = float(defect_scores(probabilities[None], taxonomy)[0])
    if score < point.pass_below:
        name = _likeliest(probabilities, np.array(taxonomy.passing), taxonomy).name
        reason = f"defect score {score:.3f} below pass limit {point.pass_below:.3f}"
        return Decision(Verdict.PASS, name, score, reason)
    fault = _likeliest_fault(probabilities, taxonomy)
    name, disposition = fault.name, fault.disposition
    if score < point.fail_from:
        reason = (
            f"defect score {score:.3f} between pass limit {point.pass_below:.3f} "
            f"and fail limit {point.fail_from:.3f}"
        )
        return Decision(Verdict.REVIEW, name, score, reason)
    verdict = Verdict.REVIEW if disposition is Disposition.REVIEW else Verdict.FAIL
    return Decision(verdict, name, score, f"{name}: {disposition}, defect score {score:.3f}")


def looks_failing(probabilities: Floats, taxonomy: Taxonomy) -> bool:
    """Would a part be a FAIL at a limit low enough, probabilities float32 K, or else a REVIEW?"""
    return _likeliest_fault(probabilities, taxonomy).disposition is not Disposition.REVIEW


def _likeliest_fault(probabilities: Floats, taxonomy: Taxonomy) -> PartClass:
    return _likeliest(probabilities, ~np.array(taxonomy.passing), taxonomy)


def _likeliest(
    probabilities: Floats, allowed: npt.NDArray[np.bool_], taxonomy: Taxonomy
) -> PartClass:
    return taxonomy.classes[int(np.where(allowed, probabilities, -1.0).argmax())]
