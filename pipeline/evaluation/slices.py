"""The figures of test parts by class, variant, group and source."""

from __future__ import annotations

from pathlib import PurePosixPath

from pipeline.contracts.evaluation import Slices
from pipeline.datasets.manifest import Manifest
from pipeline.evaluation.predictions import PartPredictions
from pipeline.metrics import slicing


def slice_metrics(data: Manifest, test: PartPredictions) -> Slices:
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
