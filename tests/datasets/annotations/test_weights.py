"""Weights of samples by the annotators' belief."""

from __future__ import annotations

import pytest

from pipeline.contracts.sample import Sample
from pipeline.datasets.annotations.weights import LEAST, believed, note
from pipeline.errors import DataError


def sample(label: str, belief: float | None, weight: float = 1.0) -> Sample:
    return Sample("a", "a.png", label, "a", defect_probability=belief, weight=weight)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (sample("good", 0.0), 1.0),
        (sample("good", 0.25), 0.75),
        (sample("crack", 0.25), 0.25),
        (sample("crack", 0.0), LEAST),
        (sample("crack", None), 1.0),
        (sample("crack", 0.5, weight=0.5), 0.25),
    ],
    ids=["sure", "good", "bad", "contradicted", "not-given", "weighted-before"],
)
def test_a_sample_counts_as_much_as_its_label_is_believed(given: Sample, expected: float) -> None:
    weighted, _ = believed([given, sample("good", 0.5)], ["good"])
    assert weighted.weight == pytest.approx(expected)


def test_a_data_set_without_belief_is_refused_with_the_remedy() -> None:
    with pytest.raises(DataError, match=r"source\.columns\.defect_probability"):
        believed([sample("good", None)], ["good"])


def test_what_counts_less_is_counted() -> None:
    assert note([1.0, 1.0]) == []
    (line,) = note([1.0, 0.5, 0.25, 1.0])
    assert line.startswith("2 of 4 images count less than 1 in training, 0.38 on average")
    assert "figures count every image as one" in line
