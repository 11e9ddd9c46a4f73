"""Defect classes in the order in which they matter."""

from __future__ import annotations

from pipeline.contracts.taxonomy import Disposition, PartClass, Taxonomy
from pipeline.metrics.pareto import pareto

CLASSES = Taxonomy(
    classes=(
        PartClass(name="good", disposition=Disposition.PASS),
        PartClass(name="pit", disposition=Disposition.SCRAP),
        PartClass(name="crack", disposition=Disposition.SCRAP),
        PartClass(name="slag", disposition=Disposition.SCRAP),
    )
)


def test_the_most_frequent_defect_comes_first_with_its_cumulative_share() -> None:
    labels = ["good"] * 9 + ["pit"] + ["crack"] * 3
    verdicts = ["PASS"] * 9 + ["FAIL", "PASS", "REVIEW", "FAIL"]
    crack, pit = pareto(labels, verdicts, CLASSES)
    assert (crack.name, crack.n, crack.share, crack.cumulative) == ("crack", 3, 0.75, 0.75)
    assert (crack.passed, crack.looked_at, crack.failed) == (1, 1, 1)
    assert (pit.name, pit.n, pit.share, pit.cumulative) == ("pit", 1, 0.25, 1.0)


def test_classes_as_frequent_as_each_other_stand_in_the_taxonomys_order() -> None:
    assert [c.name for c in pareto(["slag", "pit"], ["FAIL"] * 2, CLASSES)] == ["pit", "slag"]


def test_without_a_bad_part_there_is_no_defect_class() -> None:
    assert pareto(["good"], ["PASS"], CLASSES) == []
