"""What an evaluation finds beside its figures: golden parts, slices, the champion, the gate."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from pipeline.contracts.bundle import Bundle
from pipeline.contracts.evaluation import Comparison, Gate, Golden, GoldenMiss, Slices
from pipeline.contracts.records import Verdict
from pipeline.datasets import golden
from pipeline.datasets.manifest import Manifest
from pipeline.errors import BundleError, UnreadableImage
from pipeline.evaluation.champion import Rival
from pipeline.evaluation.predictions import Judged, Watch, judge
from pipeline.metrics import gating, slicing
from pipeline.metrics.comparison import Answers, compare, not_compared
from pipeline.metrics.gating import GateRules


def groups_of(data: Manifest, judged: Judged) -> list[str]:
    """The group of each part."""
    groups: list[str] = data.table["group"].iloc[judged.rows].tolist()
    return groups


def judge_golden(bundle: Bundle, data: Manifest, listed: Path, watch: Watch) -> Golden | None:
    """Judge the parts that no model may judge wrong; None where nobody has listed any.

    A bad part that passes is a miss, and a good one that fails; what goes to review is not. Where
    no class passes, a part taken for another class is one.
    """
    ids = golden.read(listed, data.table, data.taxonomy)
    if not ids:
        return None
    row_of = {name: row for row, name in enumerate(data.table["sample_id"])}
    found = judge(bundle, data, np.array([row_of[name] for name in ids], np.intp), watch)
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


def cut(data: Manifest, test: Judged) -> Slices:
    """The figures by class, variant, group and source: a folder of images, unless it is a class."""
    table = data.table.iloc[test.rows]
    columns: dict[slicing.By, list[str]] = {
        "class": table["label"].tolist(),
        "variant": table["variant"].tolist(),
        "group": table["group"].tolist(),
    }
    sources = [str(PurePosixPath(path).parent) for path in table["path"]]
    if len({*zip(sources, columns["class"], strict=True)}) > len({*sources}):
        columns["source"] = sources
    right = test.predicted == test.labels
    return slicing.cut(slicing.Outcomes.of(right, test.bad, test.verdicts), columns)


def compare_with(
    rival: Rival, bundle: Bundle, data: Manifest, test: Judged, draws: int, watch: Watch
) -> Comparison:
    """The champion on the same parts, through its own preparation and by its own limits.

    A champion that knows other classes cannot be compared: its verdicts answer another question.
    """
    if rival.bundle is None:
        missing = not_compared(rival.name, rival.missing)
        return missing.model_copy(update={"out_of_reach": rival.out_of_reach})
    if rival.bundle.sha256 == bundle.sha256:
        return not_compared(rival.name, "this bundle is the champion itself")
    theirs, ours = rival.bundle.taxonomy, bundle.taxonomy
    if (theirs.names, theirs.passing) != (ours.names, ours.passing):
        return not_compared(
            rival.name,
            f"it knows the classes {', '.join(theirs.names)}, this one {', '.join(ours.names)}"
            if theirs.names != ours.names
            else "its classes have other dispositions: another part is good",
        )
    try:
        former = judge(rival.bundle, data, test.rows, watch)
    except (UnreadableImage, BundleError) as error:
        return not_compared(rival.name, f"it cannot judge these images: {error}")
    return compare(
        rival.name,
        _answers(former),
        _answers(test),
        test.bad,
        test.questions[0],
        groups_of(data, test),
        draws=draws,
    )


def _answers(judged: Judged) -> Answers:
    return Answers(judged.predicted == judged.labels, judged.verdicts, judged.questions[1])


def judge_gate(
    rules: GateRules,
    data: Manifest,
    test: Judged,
    metrics: dict[str, Any],
    golden_found: Golden | None,
    comparison: Comparison,
) -> Gate:
    """May the model be signed off without an override?"""
    measured = gating.measured(
        test.bad, test.verdicts, groups_of(data, test), metrics["auroc"], metrics["auroc_ci95"]
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
