"""Classes of a taxonomy that the labels of a data set mean; of several the gravest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from pipeline.contracts.sample import Box, Sample
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets.annotations.originals import original
from pipeline.datasets.location import Place
from pipeline.errors import DataError, printable


def classified(samples: Iterable[Sample], taxonomy: Taxonomy, root: Place) -> list[Sample]:
    """The samples with the names of classes in place of labels, in their boxes too.

    Boxes of what has no class keep their label where the label of the image is decided otherwise.

    Raises:
        DataError: a label is not in the taxonomy; the message names the image.
    """
    names: dict[str, str] = {}
    found = []
    for sample in samples:
        marked = sample.labels or (sample.label,)
        for label in marked:
            if label not in names:
                names[label] = _name(label, taxonomy, root / sample.path)
        found.append(
            replace(
                sample,
                label=taxonomy.gravest(marked),
                labels=(),
                boxes=tuple(_named(box, taxonomy) for box in sample.boxes),
            )
        )
    return found


def provisional(labels: Sequence[str]) -> str:
    """The label of an image before a taxonomy ranks what is marked in it: what is marked most."""
    return Counter(labels).most_common(1)[0][0]


def marked_sample(
    path: PurePosixPath,
    labels: Sequence[str],
    boxes: Sequence[Box],
    good: str,
    split: str = "",
    folder: str = "",
) -> Sample:
    """An image and what is marked in it.

    Args:
        path: of the image, relative to the root.
        labels: of what is marked in it.
        boxes: around it, where there are any.
        good: its label where nothing is marked.
        split: that the data set gives it.
        folder: that holds that split, "" for none.
    """
    return Sample(
        id=str(path),
        path=str(path),
        label=provisional(labels) if labels else good,
        group=original(path, folder),
        split=split,
        labels=tuple(labels),
        boxes=tuple(boxes),
    )


def note(samples: Iterable[Sample]) -> list[str]:
    """A sentence on images in which several kinds are marked, where there are any."""
    several = sum(len(set(sample.labels)) > 1 for sample in samples)
    if not several:
        return []
    return [
        f"{several} image(s) show more than one kind: taxonomy.yaml ranks them by severity; until "
        "then each counts as what is marked most often in it"
    ]


def _named(box: Box, taxonomy: Taxonomy) -> Box:
    try:
        return replace(box, label=taxonomy.names[taxonomy.index(box.label)])
    except DataError:
        return box


def _name(label: str, taxonomy: Taxonomy, image: Place) -> str:
    try:
        return taxonomy.names[taxonomy.index(label)]
    except DataError as error:
        odd = "has control characters or is not UTF-8"
        remedy = "" if printable(label) == label else f"; its folder's name {odd}: rename it"
        raise DataError(printable(f"{image}: {error}{remedy}")) from None
