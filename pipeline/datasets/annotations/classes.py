"""Classes of a taxonomy that the labels of a data set mean; of several the gravest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from pipeline.contracts.sample import Sample
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets.location import Place
from pipeline.errors import DataError, printable


def classified(samples: Iterable[Sample], taxonomy: Taxonomy, root: Place) -> list[Sample]:
    """The samples with the names of classes in place of labels, in their boxes too.

    Raises:
        DataError: a label is not in the taxonomy; the message names the image.
    """
    names: dict[str, str] = {}
    found = []
    for sample in samples:
        marked = dict.fromkeys((*(sample.labels or (sample.label,)), *_in_boxes(sample)))
        for label in marked.keys() - names.keys():
            names[label] = _name(label, taxonomy, root / sample.path)
        found.append(
            replace(
                sample,
                label=taxonomy.gravest(sample.labels or (sample.label,)),
                labels=(),
                boxes=tuple(replace(box, label=names[box.label]) for box in sample.boxes),
            )
        )
    return found


def provisional(labels: Sequence[str]) -> str:
    """The label of an image before a taxonomy ranks what is marked in it: what is marked most."""
    return Counter(labels).most_common(1)[0][0]


def note(samples: Iterable[Sample]) -> list[str]:
    """A sentence on images in which several kinds are marked, where there are any."""
    several = sum(len(set(sample.labels)) > 1 for sample in samples)
    if not several:
        return []
    return [
        f"{several} image(s) show more than one kind: taxonomy.yaml ranks them by severity; until "
        "then each counts as what is marked most often in it"
    ]


def _in_boxes(sample: Sample) -> list[str]:
    return [box.label for box in sample.boxes]


def _name(label: str, taxonomy: Taxonomy, image: Place) -> str:
    try:
        return taxonomy.names[taxonomy.index(label)]
    except DataError as error:
        odd = "has control characters or is not UTF-8"
        remedy = "" if printable(label) == label else f"; its folder's name {odd}: rename it"
        raise DataError(printable(f"{image}: {error}{remedy}")) from None
