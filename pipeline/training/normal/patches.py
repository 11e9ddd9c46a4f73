"""Patches and pooled features of many images through ONNX Runtime, in little memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from pipeline.imaging import Pixels
from pipeline.inference.predictor import session
from pipeline.training import Floats
from pipeline.training.export import export
from pipeline.training.network import Features
from pipeline.training.normal.modules import Described, levels

BATCH = 4
SAMPLED = 64  # images that the components of patches are found on
PER_IMAGE = 256  # patches of each of those
KEPT_VARIANCE = 0.9999
LEAST_VARIANCE = 1e-6
Halves = npt.NDArray[np.float16]
Ints = npt.NDArray[np.intp]
Stack = Callable[[Ints], Pixels]
Watch = Callable[[Iterable[int], int, int], Iterable[int]]
T = TypeVar("T")


@dataclass(frozen=True)
class PatchComponents:
    """Principal components of patches: `patch @ projection + shift`.

    Attributes:
        projection: float32 C,P; the widest first, all divided by one number.
        shift: float32 P.
        variance: along each, float64 P; 1 in the mean.
    """

    projection: Floats
    shift: Floats
    variance: npt.NDArray[np.float64]

    @classmethod
    def of(cls, found: Floats, most: int) -> PatchComponents:
        """Of patches float32 N,C; no more than hold `KEPT_VARIANCE`."""
        mean = found.mean(0, dtype=np.float64)
        x = found - mean
        values, vectors = np.linalg.eigh(x.T @ x / len(x))
        values, vectors = values[::-1].clip(LEAST_VARIANCE), vectors[:, ::-1]
        k = 1 + int(np.searchsorted(np.cumsum(values) / values.sum(), KEPT_VARIANCE))
        k = min(k, most)
        unit = float(values[:k].mean())
        projection = vectors[:, :k] / np.sqrt(unit)
        shift = (-mean @ projection).astype(np.float32)
        return cls(projection.astype(np.float32), shift, values[:k] / unit)

    def scale(self, whitening: float) -> Floats:
        """What to multiply components with: 0 leaves them alone, 1 gives all the same variance."""
        raised = self.variance ** (-whitening / 2)
        scaled: Floats = (raised / np.sqrt((raised**2 * self.variance).mean())).astype(np.float32)
        return scaled

    def __call__(self, grid: Floats) -> Floats:
        """Patches float32 N,C,h,w to float32 N,h*w,P."""
        n, c = grid.shape[:2]
        found: Floats = grid.reshape(n, c, -1).transpose(0, 2, 1) @ self.projection + self.shift
        return found


@dataclass(frozen=True)
class DescribedImages:
    """N images.

    Attributes:
        pairs: levels of maps that patches were taken of.
        components: of the patches of each pair.
        patches: of each pair, float16 N,P,C, in files.
        pooled: float32 N,D.
    """

    pairs: list[tuple[int, int]]
    components: list[PatchComponents]
    patches: list[Halves]
    pooled: Floats


class Describer:
    """Computes patches and pooled features; the graph is written once."""

    def __init__(self, features: Features, example: Pixels, folder: Path) -> None:
        """Write the graph into a folder, for images like `example`, uint8 H,W,C."""
        with torch.inference_mode():
            maps = features.maps(torch.from_numpy(example[None]))
        self.pairs = levels([int(m.shape[2]) for m in maps])
        self._names = [*(f"pair{i}" for i in range(len(self.pairs))), "pooled"]
        self._folder = folder
        graph = folder / "described.onnx"
        export(Described(features, self.pairs), example, "image", self._names, graph)
        self._session = session(graph, threads=1)

    def components(self, stack: Stack, rows: Ints, most: int, seed: int) -> list[PatchComponents]:
        """PatchComponents of the patches of some of the images in `rows`."""
        rng = np.random.default_rng(seed)
        some = np.sort(rng.permutation(rows)[:SAMPLED])
        taken: list[list[Floats]] = [[] for _ in self.pairs]
        for found in self._run(stack, some, lambda found: found):
            for i, grid in enumerate(found[:-1]):
                flat = grid.reshape(*grid.shape[:2], -1).transpose(0, 2, 1)
                places = rng.permutation(flat.shape[1])[:PER_IMAGE]
                taken[i].append(flat[:, places].reshape(-1, flat.shape[2]))
        return [PatchComponents.of(np.concatenate(of_pair), most) for of_pair in taken]

    def __call__(
        self,
        stack: Stack,
        rows: Ints,
        components: Sequence[PatchComponents],
        name: str,
        watch: Watch,
    ) -> DescribedImages:
        """Describe images.

        Args:
            stack: gives images by position, uint8 n,H,W,C.
            rows: which.
            components: of each pair.
            name: of the files that hold the patches.
            watch: is given positions as they are done, how many there are and how many were done
                before, and passes them on.
        """

        def described(found: list[Floats]) -> tuple[list[Floats], Floats]:
            grids = zip(components, found[:-1], strict=True)
            return [of_pair(grid) for of_pair, grid in grids], found[-1]

        held: list[Halves] = []
        pooled: list[Floats] = []
        steps = range(0, len(rows), BATCH)
        made = self._run(stack, rows, described)
        for start, (white, whole) in zip(watch(steps, len(steps), 0), made, strict=True):
            for i, places in enumerate(white):
                if not start:
                    shape, path = (len(rows), *places.shape[1:]), self._folder / f"{name}-{i}.npy"
                    held.append(np.lib.format.open_memmap(path, "w+", np.float16, shape))
                held[i][start : start + len(places)] = places
            pooled.append(whole)
        return DescribedImages(self.pairs, list(components), held, np.concatenate(pooled))

    def _run(self, stack: Stack, rows: Ints, finish: Callable[[list[Floats]], T]) -> Iterator[T]:
        """A batch a thread; no more are under way than threads have work for."""
        under_way: deque[Future[T]] = deque()

        def one(part: Ints) -> T:
            return finish(self._session.run(self._names, {"image": stack(part)}))

        threads = os.cpu_count() or 1
        pool = ThreadPoolExecutor(threads)
        try:
            for start in range(0, len(rows), BATCH):
                under_way.append(pool.submit(one, rows[start : start + BATCH]))
                if len(under_way) > 2 * threads:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
