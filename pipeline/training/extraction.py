"""Features of a frozen network, computed once through ONNX Runtime: what a head is trained on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.files import sha256
from pipeline.imaging import Pixels
from pipeline.imaging.codec import CV2_VERSION
from pipeline.inference.predictor import session
from pipeline.training import augmentation
from pipeline.training.augmentation import Augmenter
from pipeline.training.feature_cache import FeatureCache

Floats = npt.NDArray[np.float32]
Shown = tuple[int, int | None]  # the row of an image, and its view
Watch = Callable[[Iterable[Floats], int, int], Iterable[Floats]]
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
    graph: Path,
    stored: Images,
    augmenter: Augmenter,
    batches: Sequence[Batch],
    seed: int,
    cache: FeatureCache | None = None,
    watch: Watch = lambda vectors, total, done: vectors,
) -> Floats:
    """Run an exported feature graph over many images, one thread a core.

    Each core has a batch of its own, so that augmenting one overlaps with computing another. The
    values of an image are the same whichever others share its batch.

    Args:
        graph: ONNX, `image` uint8 N,H,W,C to `features` float32 N,D.
        stored: the prepared images; `index` names them by sample_id.
        augmenter: makes the views.
        batches: what to compute, as `plan` gives it.
        seed: of the views.
        cache: where what was computed before is found, and what is computed now is kept.
        watch: is given the vectors to come, how many there are in all and how many of those were
            found, and passes the vectors on.

    Returns:
        float32 F,D, in the order of the batches.
    """
    source = _Source(stored, augmenter, seed)
    shown = [(int(row), batch.view) for batch in batches for row in batch.rows]
    keys = source.keys(graph, shown) if cache is not None else []
    vectors = dict(cache.find(keys)) if cache is not None else {}
    found = len(vectors)
    missing = [i for i in range(len(shown)) if i not in vectors]
    try:
        # Closed when interrupted: its threads would compute all the rest before the process ends.
        with closing(_computed(graph, source, [shown[i] for i in missing])) as computed:
            for i, vector in zip(missing, watch(computed, len(shown), found), strict=True):
                vectors[i] = vector
                if cache is not None:
                    cache.put(keys[i], vector)
    finally:
        if cache is not None:
            cache.flush()
    return np.stack([vectors[i] for i in range(len(shown))])


def _computed(graph: Path, source: _Source, shown: Sequence[Shown]) -> Generator[Floats]:
    if not shown:
        return
    run = session(graph, threads=1)

    def features(batch: Sequence[Shown]) -> Floats:
        found: Floats = run.run(["features"], {"image": source.stack(batch)})[0]
        return found

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = [shown[start : start + BATCH] for start in range(0, len(shown), BATCH)]
        for vectors in pool.map(features, parts):
            yield from vectors


class _Source:
    """The images as they are and their augmented views, and what each is made from."""

    def __init__(self, stored: Images, augmenter: Augmenter, seed: int) -> None:
        self._stored, self._augmenter, self._seed = stored, augmenter, seed
        ids = stored.index["sample_id"].astype(str)
        if (tile := stored.index["tile"]).any():
            ids += "#" + tile.astype(str)  # each tile its own dust and noise
        self._names = ids.to_numpy()

    def stack(self, shown: Sequence[Shown]) -> Pixels:
        """Make some of them, uint8 n,H,W,C."""
        images = self._stored.stack(np.array([row for row, _ in shown]))
        for i, (row, view) in enumerate(shown):
            if view is not None:
                name = self._names[row]
                images[i] = self._augmenter(images[i], seed=self._seed, sample_id=name, view=view)
        return images

    def keys(self, graph: Path, shown: Sequence[Shown]) -> list[str]:
        """Name the features of each by the graph, the pixels and what makes a view of them.

        The graph itself says which network, weights, scales and image size.
        """

        def pixels(row: int) -> str:
            return hashlib.sha256(self._stored.stack(np.array([row])).tobytes()).hexdigest()

        rows = sorted({row for row, _ in shown})
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            image = dict(zip(rows, pool.map(pixels, rows), strict=True))
        network = [sha256(graph), version("onnxruntime")]
        making = _digest([self._augmenter.serialise(), self._seed, *_augmenting()])
        return [
            _digest(
                [*network, image[row]] + ([] if view is None else [making, self._names[row], view])
            )
            for row, view in shown
        ]


def _augmenting() -> list[str]:
    """Changes with the code that makes views."""
    files = sorted(Path(augmentation.__path__[0]).glob("*.py"))
    packages = ("albumentations", "albucore", "numpy")
    return [CV2_VERSION, *map(version, packages), *map(sha256, files)]


def _digest(facts: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
