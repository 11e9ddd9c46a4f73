"""Features of images through ONNX Runtime or torch, in parallel: what a head is trained on."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn

from pipeline.files import sha256
from pipeline.imaging import Pixels
from pipeline.imaging.codec import VERSION as CODEC_VERSION
from pipeline.inference.predictor import session
from pipeline.source_code import code_digest
from pipeline.training import Floats
from pipeline.training.augmentation import Augmenter
from pipeline.training.features.cache import FeatureCache

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
    on_gpu: tuple[nn.Module, torch.device] | None = None,
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
        on_gpu: the same features in torch, and the device to compute them on instead.

    Returns:
        float32 F,D, in the order of the batches; 0,0 without any.
    """
    source = _FeatureSource(stored, augmenter, seed)
    shown = [(int(row), batch.view) for batch in batches for row in batch.rows]
    if not shown:
        return np.empty((0, 0), np.float32)
    engine = _Cpu(graph) if on_gpu is None else _Gpu(*on_gpu)
    names = [sha256(graph), *engine.versions]
    keys = source.keys(names, shown) if cache is not None else []
    vectors = dict(cache.find(keys)) if cache is not None else {}
    found = len(vectors)
    missing = [i for i in range(len(shown)) if i not in vectors]
    try:
        # Closed when interrupted: its threads would compute all the rest before the process ends.
        with closing(_computed(engine, source, [shown[i] for i in missing])) as computed:
            for i, vector in zip(missing, watch(computed, len(shown), found), strict=True):
                vectors[i] = vector
                if cache is not None:
                    cache.put(keys[i], vector)
    finally:
        if cache is not None:
            cache.flush()
    return np.stack([vectors[i] for i in range(len(shown))])


class _Cpu:
    """ONNX Runtime, which is opened when it is needed."""

    batch = BATCH

    def __init__(self, graph: Path) -> None:
        self._graph = graph
        self.versions = [version("onnxruntime")]

    @contextmanager
    def ready(self) -> Iterator[Callable[[Pixels], Floats]]:
        """Features float32 n,D of images uint8 n,H,W,C, from any number of threads."""
        run = session(self._graph, threads=1)
        yield lambda images: run.run(["features"], {"image": images})[0]


class _Gpu:
    """torch, in full precision: what is trained on it must hold for the exported graph."""

    batch = 64

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        self._module, self._device = module, device
        self.versions = [torch.__version__, torch.cuda.get_device_name(device)]

    @contextmanager
    def ready(self) -> Iterator[Callable[[Pixels], Floats]]:
        """As of `_Cpu`; threads make the images, and queue where the device is busy."""
        busy = threading.Lock()
        module = self._module.to(self._device).eval()

        def features(images: Pixels) -> Floats:
            with busy, torch.inference_mode():
                found: Floats = module(torch.from_numpy(images).to(self._device)).cpu().numpy()
            return found

        try:
            with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False):
                yield features
        finally:
            module.cpu()


def _computed(
    engine: _Cpu | _Gpu, source: _FeatureSource, shown: Sequence[Shown]
) -> Generator[Floats, None, None]:
    if not shown:
        return
    parts = [shown[start : start + engine.batch] for start in range(0, len(shown), engine.batch)]
    with engine.ready() as features, ThreadPoolExecutor(os.cpu_count()) as pool:
        for vectors in pool.map(lambda part: features(source.stack(part)), parts):
            yield from vectors


def names_of(index: pd.DataFrame) -> npt.NDArray[np.object_]:
    """A name for each image, N: the part's and, where there are tiles, which of them it is.

    Each has dust and noise of its own by it.
    """
    ids = index["sample_id"].astype(str)
    if (tile := index["tile"]).any():
        ids += "#" + tile.astype(str)
    return ids.to_numpy()


class _FeatureSource:
    """The images as they are and their augmented views, and what each is made from."""

    def __init__(self, stored: Images, augmenter: Augmenter, seed: int) -> None:
        self._stored, self._augmenter, self._seed = stored, augmenter, seed
        self._names = names_of(stored.index)

    def stack(self, shown: Sequence[Shown]) -> Pixels:
        """Make some of them, uint8 n,H,W,C."""
        images = self._stored.stack(np.array([row for row, _ in shown]))
        for i, (row, view) in enumerate(shown):
            if view is not None:
                name = self._names[row]
                images[i] = self._augmenter(images[i], seed=self._seed, sample_id=name, view=view)
        return images

    def keys(self, network: Sequence[str], shown: Sequence[Shown]) -> list[str]:
        """Name the features of each by the graph, the pixels and what makes a view of them.

        The graph itself determines network, weights, scales and image size.
        """

        def pixels(row: int) -> str:
            return hashlib.sha256(self._stored.stack(np.array([row])).tobytes()).hexdigest()

        rows = sorted({row for row, _ in shown})
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            image = dict(zip(rows, pool.map(pixels, rows), strict=True))
        making = _digest([self._augmenter.serialise(), self._seed, *_augmenting()])
        return [
            _digest(
                [*network, image[row]] + ([] if view is None else [making, self._names[row], view])
            )
            for row, view in shown
        ]


def _augmenting() -> list[str]:
    """Changes with the code that makes views."""
    packages = ("albumentations", "albucore", "numpy")
    return [CODEC_VERSION, *map(version, packages), code_digest("pipeline.training.augmentation")]


def _digest(facts: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
