"""What speaks against the test data: wrong labels, unusable images, files left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from pipeline.datasets.manifest import Manifest
from pipeline.evaluation.predictions import PartPredictions

NAMED = 3
UNLIKELY = 0.1  # probability of its own label from which the model contradicts it clearly


def data_doubts(data: Manifest, test: PartPredictions) -> list[str]:
    """A sentence for each kind of doubt, the first test parts concerned named.

    Args:
        data: the data set, with what `ingest` noticed.
        test: its test parts and what the model makes of them.
    """
    return [*_labels(data, test), *_images(data, test)]


def _labels(data: Manifest, test: PartPredictions) -> Iterator[str]:
    """Test parts with two labels, or whose label the texture and the model both contradict."""
    there = set(data.table["path"].iloc[test.rows])
    twice = [path for pair in data.report.get("label_conflicts", ()) for path in pair]
    if conflicts := sorted(there & {*twice}):
        yield (
            f"{_parts(len(conflicts))} the same picture as one with another label "
            f"({_named(conflicts)}): correct one of the labels"
        )
    wrong = data.table["path"].iloc[test.rows[contradicted(data, test.rows, test.probabilities)]]
    if named := wrong.tolist():
        yield (
            f"{_parts(len(named))} probably a wrong label, which the model and the texture "
            f"contradict alike ({_named(named)}): look at them"
        )


def contradicted(
    data: Manifest, rows: npt.NDArray[np.intp], probabilities: npt.NDArray[np.floating]
) -> npt.NDArray[np.bool_]:
    """Parts whose label model and texture contradict alike.

    Args:
        data: the data set, with what `ingest` noticed.
        rows: which of its parts, int N.
        probabilities: of the classes, by a model that had not seen them; float N,K.
    """
    suspects = data.report.get("suspects", {}).get("images", ())
    likely = {seen["path"]: seen["likely"] for seen in suspects}
    names, table = data.taxonomy.names, data.table.iloc[rows]
    found = [
        p[names.index(label)] < UNLIKELY and likely.get(path) == names[int(p.argmax())]
        for path, label, p in zip(table["path"], table["label"], probabilities, strict=True)
    ]
    return np.array(found, bool)


def _images(data: Manifest, test: PartPredictions) -> Iterator[str]:
    corrupt = [seen["path"] for seen in data.report.get("corrupt", ())]
    if corrupt:
        n = f"{len(corrupt)} damaged image{'s were' if len(corrupt) > 1 else ' was'} left out"
        yield f"{n} of the data set ({_named(corrupt)}): export again"
    paths = data.table["path"].iloc[test.rows].tolist()
    if dark := sorted({*paths} & {*data.report.get("nearly_black", ())}):
        yield (
            f"{_parts(len(dark))} a nearly black picture ({_named(dark)}): look at it, and take it "
            "again if the part was lit"
        )


def _parts(n: int) -> str:
    return f"{n} test part{'s have' if n > 1 else ' has'}"


def _named(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
