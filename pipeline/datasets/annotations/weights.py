"""Weights of samples: how much each counts in the loss of training, and nowhere else."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from pipeline.contracts.sample import Sample
from pipeline.errors import DataError

LEAST = 0.01  # of a label that its own annotator holds for wrong


def believed(samples: Sequence[Sample], good: Collection[str]) -> list[Sample]:
    """Samples weighted by the annotators' belief in their labels, where one was given.

    Args:
        samples: labelled by classes of the taxonomy.
        good: the classes that pass.

    Raises:
        DataError: no belief was given.
    """
    if all(sample.defect_probability is None for sample in samples):
        raise DataError(
            "weights in ingest.yaml is belief, and the data set gives none; a CSV file has it in "
            "source.columns.defect_probability; or remove weights"
        )
    return [replace(s, weight=s.weight * _belief(s, good)) for s in samples]


def note(weights: Sequence[float]) -> list[str]:
    """A sentence on samples that count less than others, where there are any."""
    less = [weight for weight in weights if weight < 1]
    if not less:
        return []
    return [
        f"{len(less)} of {len(weights)} images count less than 1 in training, "
        f"{sum(less) / len(less):.2f} on average; all figures count every image as one"
    ]


def _belief(sample: Sample, good: Collection[str]) -> float:
    bad = sample.defect_probability
    if bad is None:
        return 1.0
    return max(1 - bad if sample.label in good else bad, LEAST)
