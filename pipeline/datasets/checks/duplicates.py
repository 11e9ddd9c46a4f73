"""Which images show the same shot: pairs and clusters from fingerprints, without all pairs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

Vectors = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]
Pair = tuple[int, int, float]

# Measured on real castings, solar cells and steel strips: of copies saved as JPEG of quality 80,
# resized or 5 % brighter 99 in 100 lie within it. So do 16 pairs of castings that look like one
# shot again, no two different strips (0.22) and 11 of 3.4 million pairs of different solar cells,
# all at most two rows apart. A shot moved by 1 px in 300 lies 0.08 away, farther than the nearest
# look-alike cells: groups from names or times must decide.
NEAR = 0.05

_AXES = 12
_LEAF = 64
_CROWD = 256
_BATCH = 50_000


def near_duplicates(fingerprints: Vectors, threshold: float = NEAR) -> list[Pair]:
    """Find the images that lie within a distance of each other.

    A k-d tree on the 12 directions in which the fingerprints differ most proposes pairs (in fewer
    directions no distance grows, so none is missed: Faloutsos et al., SIGMOD 1994); the full
    distance decides. Crowds would make all pairs again, so these are thinned: an exact copy is
    paired with the first of its kind only, and so is, where more than 256 images are proposed for
    one, an image within half the threshold of an earlier one. The pairs still hold each such crowd
    together; only a pair that joins the rims of two crowds can be missed.

    Args:
        fingerprints: N x D, all finite.
        threshold: largest Euclidean distance of two near-duplicates.

    Returns:
        (row, later row, distance), in order; the same for the same fingerprints.
    """
    if len(fingerprints) < 2:
        return []
    _, first, kind = np.unique(fingerprints, axis=0, return_index=True, return_inverse=True)
    origin = first[kind.ravel()]
    copies = np.flatnonzero(origin != np.arange(len(origin)))
    pairs = [(int(origin[row]), int(row), 0.0) for row in copies]

    rows = np.sort(first)
    vectors = fingerprints[rows]
    places = _main_directions(vectors)
    tree = cKDTree(places, _LEAF)
    crowd = tree.query_ball_point(places, _reach(threshold), return_length=True, workers=-1)
    kept, crowded = _thin(vectors, tree, crowd, threshold)
    pairs += [(int(rows[i]), int(rows[j]), d) for i, j, d in crowded]
    rows, vectors = rows[kept], vectors[kept]
    for i, j in _proposed(places[kept], crowd[kept], threshold):
        distance = _distances(vectors[i], vectors[j])
        near = distance <= threshold
        pairs += zip(
            rows[i[near]].tolist(), rows[j[near]].tolist(), distance[near].tolist(), strict=True
        )
    return sorted(pairs)


def shows_nothing(fingerprints: Vectors, threshold: float = NEAR) -> npt.NDArray[np.bool_]:
    """Which pictures are as near to an even one as near-duplicates are to each other, bool N.

    Two of them are alike because nothing can be seen, so that shows nothing of what they hold.

    Args:
        fingerprints: N x D; an even picture's is all zero.
        threshold: as above.
    """
    empty: npt.NDArray[np.bool_] = np.linalg.norm(fingerprints, axis=1) <= threshold
    return empty


def clusters(n: int, pairs: Iterable[Pair]) -> list[int]:
    """The cluster of each of `n` images, named by its first row; alone, its own row."""
    links = np.array([(i, j) for i, j, _ in pairs], np.intp).reshape(-1, 2)
    graph = coo_array((np.ones(len(links), np.int8), (links[:, 0], links[:, 1])), shape=(n, n))
    _, label = connected_components(graph, directed=False)
    _, first, kind = np.unique(label, return_index=True, return_inverse=True)
    named: list[int] = first[kind].tolist()
    return named


def _main_directions(vectors: Vectors) -> npt.NDArray[np.float64]:
    centred = vectors - vectors.mean(axis=0)
    _, directions = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    return np.ascontiguousarray(centred @ directions[:, : -_AXES - 1 : -1])


def _distances(a: Vectors, b: Vectors) -> npt.NDArray[np.float32]:
    distance: npt.NDArray[np.float32] = np.linalg.norm(a - b, axis=1)
    return distance


def _reach(threshold: float) -> float:
    # Rounding must not push a pair at the very threshold out of the tree's answer.
    return threshold * (1 + 1e-4) + 1e-5


def _thin(
    vectors: Vectors, tree: cKDTree, crowd: Rows, threshold: float
) -> tuple[Rows, Sequence[Pair]]:
    """The rows left when crowds are thinned, and the pairs that tie the others to them."""
    left = np.ones(len(vectors), bool)
    pairs: list[Pair] = []
    for row in np.flatnonzero(crowd > _CROWD):
        if not left[row]:
            continue
        around = np.array(tree.query_ball_point(tree.data[row], _reach(threshold / 2)), np.intp)
        around = np.sort(around[(around > row) & left[around]])
        distance = _distances(vectors[around], vectors[[row]])
        near = distance <= threshold / 2
        left[around[near]] = False
        pairs += [
            (int(row), j, d)
            for j, d in zip(around[near].tolist(), distance[near].tolist(), strict=True)
        ]
    return np.flatnonzero(left), pairs


def _proposed(
    places: npt.NDArray[np.float64], crowd: Rows, threshold: float
) -> Iterator[tuple[Rows, Rows]]:
    """Batches of rows that may lie within the threshold, the earlier row first.

    Args:
        places: where each row lies in the main directions.
        crowd: at most how many rows each will be paired with, to keep batches even.
        threshold: as above.
    """
    tree = cKDTree(places, _LEAF)
    total = np.cumsum(crowd)
    start = 0
    while start < len(places):
        done = total[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(total, done + _BATCH, "right")))
        found = tree.query_ball_point(places[start:stop], _reach(threshold), workers=-1)
        i = np.repeat(np.arange(start, stop), [len(f) for f in found])
        j = np.concatenate([np.asarray(f, np.intp) for f in found])
        yield i[j > i], j[j > i]
        start = stop
