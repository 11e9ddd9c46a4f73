"""What counts as unlike training: examples for the bundle, and the limit from validation parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.contracts.bundle import EXAMPLES, NOVELTY, Bundle, NoveltyLimit
from pipeline.datasets.manifest import Manifest
from pipeline.evaluation.predictions import PartPredictions, Rows, run_inspectors
from pipeline.files import whole_file, write_model
from pipeline.inference.novelty import limit_of

MOST_EXAMPLES = 200  # parts: the distances take 0.1 ms, the file some 150 kB
EXCEEDED = 0.005  # share of further parts that may go to review for this alone
HALF_PRECISION = 1e-3  # what float16 rounds away of a number, twice, relative to it


def add_examples(bundle: Bundle, data: Manifest) -> None:
    """Write the embeddings of some training parts into an unsealed bundle, without a limit.

    As float16: what another processor rounds otherwise must not make another bundle.

    Args:
        bundle: judges with; its folder is written to, so that it must be sealed again.
        data: the data set.
    """
    rows = spread(data)
    if not len(rows):
        return
    seen = run_inspectors(
        bundle, rows, lambda inspector, row: inspector.look(data.pixels(row)).embedding
    )
    table = np.concatenate(list(seen)).astype(np.float16)
    with whole_file(bundle.folder / EXAMPLES) as handle:
        np.save(handle, table, allow_pickle=False)
    write_model(bundle.folder / NOVELTY, NoveltyLimit())


def choose_limit(folder: Path, validation: PartPredictions) -> None:
    """Write the limit that nearly all validation parts keep, if there are examples."""
    distances = np.array([i.novelty for i in validation.inspections if i.novelty is not None])
    if not len(distances):
        return
    examples = np.load(folder / EXAMPLES, allow_pickle=False).astype(np.float64)
    rounding = HALF_PRECISION * float(np.linalg.norm(examples, axis=1).max())
    chosen = NoveltyLimit(
        limit=round(limit_of(distances, EXCEEDED) + rounding, 4),
        median=round(float(np.median(distances)), 4),
        n_chosen_on=len(distances),
    )
    write_model(folder / NOVELTY, chosen)


def spread(data: Manifest) -> Rows:
    """Training parts, each class in turn, evenly over the order in which they were ingested."""
    rows = np.flatnonzero(data.table["split"] == "train")
    labels = data.table["label"].to_numpy()[rows]
    names = sorted(set(labels))
    chosen: list[int] = []
    for name in names:
        of_class = rows[labels == name]
        n = min(len(of_class), MOST_EXAMPLES // len(names))
        chosen += [int(i) for i in of_class[np.linspace(0, len(of_class) - 1, n).astype(int)]]
    return np.array(sorted(chosen), np.intp)
