"""Which scorer judges: by scores of parts that it has not learned from, nor their group."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import roc_auc_score

from pipeline.training import Floats
from pipeline.training.heads.out_of_fold import single_threaded
from pipeline.training.normal.coreset import greedy
from pipeline.training.normal.modules import places_counted
from pipeline.training.normal.patches import DescribedImages, Halves
from pipeline.training.normal.subspace import Subspace

Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.intp]
Kind = Literal["memory", "subspace", "both"]

SHARES = (0.0, 0.02, 1.0)  # of the places: the farthest one, a small area, all of them
WHITENINGS = (0.0, 0.5, 1.0)  # of a patch's components: as they are, half and whole
COMPONENTS = (16, 64, 256)
AT_ONCE = 8  # images whose patches are compared with the memory together
FLOOR = 0.01  # of the median squared distance of good parts' patches


@dataclass(frozen=True)
class Scorer:
    """One way of judging.

    Attributes:
        kind: what the score is made of.
        pair: which pair of levels the memory is of, from 0; also where it only draws the map.
        whitening: of the components of its patches, 0 to 1.
        share: of the places that its score is the mean of.
        components: of the subspace.
    """

    kind: Kind
    pair: int
    whitening: float
    share: float
    components: int

    @property
    def name(self) -> str:
        """In words."""
        places = {0.0: "the farthest place", 1.0: "all places"}.get(
            self.share, f"the farthest {self.share:.0%} of places"
        )
        whitened = {0.0: "", 1.0: "whitened "}.get(self.whitening, "half whitened ")
        memory = f"memory of {whitened}{('fine', 'coarse')[self.pair]} patches, {places}"
        subspace = f"subspace of {self.components} components"
        return {"memory": memory, "subspace": subspace}.get(self.kind, f"{memory} + {subspace}")


@dataclass(frozen=True)
class Distances:
    """Logarithms of the distances of N parts, by what has not learned from them.

    Attributes:
        memory: by pair, whitening and share, float64 N each.
        subspace: by components, float64 N each.
    """

    memory: dict[tuple[int, float, float], Doubles]
    subspace: dict[int, Doubles]


def patch_distances(
    patches: Halves, rows: Ints, scale: Floats, memory: Floats, floor: float
) -> Floats:
    """Distance of each patch of some images to the nearest of a memory float32 M,P.

    Args:
        patches: of all images, float16 N,places,P.
        rows: which images, n of them.
        scale: of the components, float32 P.
        memory: float32 M,P, scaled.
        floor: added to squared distances, as the graph does.

    Returns:
        float32 n,places.
    """
    kept = torch.from_numpy(memory)
    squares, found = (kept * kept).sum(1), []
    for start in range(0, len(rows), AT_ONCE):
        some = torch.from_numpy(patches[rows[start : start + AT_ONCE]].astype(np.float32) * scale)
        flat = some.reshape(-1, some.shape[2])
        nearest = torch.addmm(squares, flat, kept.T, alpha=-2).amin(1) + (flat * flat).sum(1)
        found.append((nearest.clamp_min(0) + floor).sqrt().reshape(some.shape[:2]).numpy())
    distances: Floats = np.concatenate(found)
    return distances


def by_places(distances: Floats, share: float) -> Doubles:
    """Logarithm of the mean over the farthest places of each image: float64 N of float32 N,P."""
    n = places_counted(distances.shape[1], share)
    farthest = np.partition(distances, -n, axis=1)[:, -n:]
    logarithms: Doubles = np.log(farthest.mean(1, dtype=np.float64))
    return logarithms


def drawn(patches: Halves, rows: Ints, n: int, seed: int) -> Floats:
    """About n patches of some images, as many of each: float32."""
    each = max(1, min(patches.shape[1], -(-n // len(rows))))
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [patches[row][rng.permutation(patches.shape[1])[:each]] for row in rows]
    ).astype(np.float32)


@dataclass(frozen=True)
class PatchMemory:
    """A memory.

    Attributes:
        patches: float32 M,P, scaled.
        scale: of the components, float32 P.
        floor: added to squared distances.
        radii: of what it covers, as it grew.
    """

    patches: Floats
    scale: Floats
    floor: float
    radii: list[float]

    def distances(self, patches: Halves, rows: Ints) -> Floats:
        """As of `patch_distances`."""
        return patch_distances(patches, rows, self.scale, self.patches, self.floor)


def memory_of(
    patches: Halves, rows: Ints, scale: Floats, n: int, pool: int, seed: int
) -> PatchMemory:
    """The coreset of good images' patches."""
    kept, radii = greedy(drawn(patches, rows, pool, seed) * scale, n, seed)
    some = rows[:: max(1, len(rows) // 16)]
    typical = float(np.median(np.square(patch_distances(patches, some, scale, kept, 0.0))))
    return PatchMemory(kept, scale, max(FLOOR * typical, 1e-3), radii)


def out_of_fold(
    found: DescribedImages, good: Bools, folds: Ints, *, memory: int, pool: int, seed: int
) -> Distances:
    """Judge every image by scorers of the good ones outside its fold.

    Args:
        found: N images, those with injected defects and known bad ones among them.
        good: whether each is a good part as it is, bool N; only such are learned from.
        folds: int N; an injected one's is that of the part that it was made from.
        memory, pool, seed: of each memory.
    """
    n = len(good)
    pairs = range(len(found.patches))
    by_memory = {(p, w, s): np.empty(n) for p in pairs for w in WHITENINGS for s in SHARES}
    known = min(int((good & (folds != f)).sum()) for f in np.unique(folds))
    counts = [k for k in COMPONENTS if k < known // 2] or [max(1, known // 2)]
    by_subspace = {k: np.empty(n) for k in counts}

    def judge(fold: int, pair: int, whitening: float) -> None:
        learned, asked = np.flatnonzero(good & (folds != fold)), np.flatnonzero(folds == fold)
        patches, scale = found.patches[pair], found.components[pair].scale(whitening)
        kept = memory_of(patches, learned, scale, memory, pool, seed)
        distances = kept.distances(patches, asked)
        for share in SHARES:
            by_memory[pair, whitening, share][asked] = by_places(distances, share)

    def judge_whole(fold: int) -> None:
        learned, asked = np.flatnonzero(good & (folds != fold)), np.flatnonzero(folds == fold)
        space = Subspace.of(found.pooled[learned], max(counts))
        for k in counts:
            by_subspace[k][asked] = np.log(space.cut(k).distances(found.pooled[asked]))

    there = np.unique(folds).tolist()
    with single_threaded(), ThreadPoolExecutor(os.cpu_count()) as workers:
        jobs = [workers.submit(judge, *job) for job in product(there, pairs, WHITENINGS)]
        jobs += [workers.submit(judge_whole, fold) for fold in there]
        for job in jobs:
            job.result()
    return Distances(by_memory, by_subspace)


@dataclass(frozen=True)
class Scored:
    """A scorer and what it makes of the parts.

    Attributes:
        scores: the higher, the more unlike good parts; mean 0 and deviation 1 over good ones.
        weights: of the two logarithms of distances.
        offset: added to their weighted sum.
        auroc: of the parts with defects against the good ones.
    """

    scorer: Scorer
    scores: Doubles
    weights: tuple[float, float]
    offset: float
    auroc: float


def candidates(distances: Distances, good: Bools, bad: Bools, kind: str) -> Iterator[Scored]:
    """Every scorer of a kind, or of all kinds where it is auto.

    Args:
        distances: out of fold, of N parts.
        good: to measure the usual on, bool N.
        bad: parts with defects, bool N.
        kind: memory, subspace, both or auto.
    """
    judged = good | bad
    widest = max(distances.subspace)
    for (pair, whitening, share), near in distances.memory.items():
        for components, whole in distances.subspace.items():
            for which, used in (
                ("memory", (1.0, 0.0)),
                ("subspace", (0.0, 1.0)),
                ("both", (0.5, 0.5)),
            ):
                # What is not used makes no difference: once is enough.
                drawn_by = (pair, whitening, share) == (0, WHITENINGS[0], SHARES[1])
                if components != widest if which == "memory" else not drawn_by and not used[0]:
                    continue
                if kind not in ("auto", which):
                    continue
                scales = [max(float(d[good].std()), 1e-6) for d in (near, whole)]
                weights = (used[0] / scales[0], used[1] / scales[1])
                raw = weights[0] * near + weights[1] * whole
                offset, spread = float(raw[good].mean()), max(float(raw[good].std()), 1e-6)
                scores = (raw - offset) / spread
                auroc = float(roc_auc_score(bad[judged], scores[judged])) if bad.any() else 0.5
                yield Scored(
                    Scorer(_kind(which), pair, whitening, share, components),
                    scores,
                    (weights[0] / spread, weights[1] / spread),
                    -offset / spread,
                    auroc,
                )


def _kind(name: str) -> Kind:
    assert name in ("memory", "subspace", "both")
    return name  # type: ignore[return-value]


def ranked(scored: Sequence[Scored], n_bad: int, n_good: int) -> list[Scored]:
    """The best first; of those no worse than noise a mean of both scorers goes before one.

    What the choice is made by, injected defects above all, is not what will come: of two that are
    as good as each other by it, that which looks in two ways is the safer one. Noise is the
    standard error of the best AUROC (Hanley and McNeil, Radiology 143, 1982).
    """
    best = max(s.auroc for s in scored)
    noise = standard_error(best, n_bad, n_good)

    def rank(s: Scored) -> tuple[bool, float]:
        safe = s.scorer.kind == "both" and s.auroc >= best - noise
        return safe, s.auroc

    return sorted(scored, key=rank, reverse=True)


def standard_error(auroc: float, n_bad: int, n_good: int) -> float:
    """Of an AUROC of so many bad and good parts (Hanley and McNeil's formula)."""
    if not n_bad or not n_good:
        return 0.5
    a = auroc
    of_bad, of_good = a / (2 - a), 2 * a * a / (1 + a)
    variance = a * (1 - a) + (n_bad - 1) * (of_bad - a * a) + (n_good - 1) * (of_good - a * a)
    return float(np.sqrt(max(variance, 0.0) / (n_bad * n_good)))
