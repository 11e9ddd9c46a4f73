"""Features of a frozen network, computed once through ONNX Runtime: what a head is trained on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.imaging import Pixels
from pipeline.inference.predictor import session
from pipeline.training.augmentation import Augmenter

Floats = npt.NDArray[np.float32]
BATCH = 8


@dataclass(frozen=True)
class Batch:
    """Images to compute features of: `view` None as they are, else that augmented view."""

    rows: npt.NDArray[np.intp]
    view: int | None


class Images(Protocol):
    """Prepared images by position, such as `Shards`."""

    index: pd.DataFrame

    def stack(self, positions: npt.NDArray[np.intp]) -> Pixels:
        """Some images, uint8 n,H,W,C, a copy."""


def plan(
    rows: npt.NDArray[np.intp], views: int, extra: npt.NDArray[np.intp] | None = None
) -> list[Batch]:
    """Batches of all images as they are, then of `views` augmented views of all.

    Where some images get `extra` views (one number for each row), those follow.
    """
    more = np.zeros(len(rows), np.intp) if extra is None else extra
    last = views + int(more.max(initial=0))
    return [
        Batch(shown[start : start + BATCH], view)
        for view in (None, *range(last))
        for shown in [rows if view is None else rows[more > view - views]]
        for start in range(0, len(shown), BATCH)
    ]


def extract(
    graph: Path, stored: Images, augmenter: Augmenter, batches: Sequence[Batch], seed: int
) -> Iterator[Floats]:
    """Run an exported feature graph over many images, one thread a core.

    Each core has a batch of its own, so that augmenting one overlaps with computing another.

    Args:
        graph: ONNX, `image` uint8 N,H,W,C to `features` float32 N,D.
        stored: the prepared images; `index` names them by sample_id.
        augmenter: makes the views.
        batches: what to compute, as `plan` gives it.
        seed: of the views.

    Yields:
        float32 n,D for each batch, in order.
    """
    run = session(graph, threads=1)
    ids = stored.index["sample_id"].astype(str)
    if (tile := stored.index["tile"]).any():
        ids += "#" + tile.astype(str)  # each tile its own dust and noise
    names = ids.to_numpy()

    def features(batch: Batch) -> Floats:
        images = stored.stack(batch.rows)
        if batch.view is not None:
            for i, row in enumerate(batch.rows):
                images[i] = augmenter(images[i], seed=seed, sample_id=names[row], view=batch.view)
        found: Floats = run.run(["features"], {"image": images})[0]
        return found

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(features, batches)
