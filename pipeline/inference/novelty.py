"""Novelty of a picture: distance of its embedding to the nearest training example."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.contracts.bundle import EXAMPLES, Bundle, NoveltyLimit
from pipeline.errors import BundleError

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


class Novelty:
    """The embeddings of some training parts, and how far from all of them a picture may lie.

    The distance to the nearest example, as in Sun et al., "Out-of-Distribution Detection with Deep
    Nearest Neighbors", ICML 2022, with k = 1 and without dividing by the embedding's length: the
    lengths of strange pictures differ most.
    """

    def __init__(self, examples: Floats, limit: float | None) -> None:
        """Take examples, float32 M,D, and the limit; None: no picture is novel."""
        self.limit = limit
        # In doubles: of two long embeddings that are close, single precision leaves noise.
        self._examples = examples.astype(np.float64)
        self._squares = np.einsum("md,md->m", self._examples, self._examples)

    @classmethod
    def read(cls, bundle: Bundle) -> Novelty | None:
        """The limit of the bundle; None for a bundle that was sealed without one.

        Raises:
            BundleError: the examples cannot be read.
        """
        known: NoveltyLimit | None = bundle.novelty
        if known is None:
            return None
        path: Path = bundle.folder / EXAMPLES
        try:
            examples = np.load(path, allow_pickle=False).astype(np.float32)
        except (OSError, ValueError) as error:
            raise BundleError(f"{path} cannot be read ({error}); the bundle is refused") from error
        if examples.ndim != 2 or not len(examples) or not np.isfinite(examples).all():
            raise BundleError(f"{path} holds no table of embeddings; the bundle is refused")
        return cls(examples, known.limit)

    def distance(self, embeddings: Floats) -> Doubles:
        """Euclidean distance of embeddings, float32 N,D, to the nearest example, float64 N.

        Raises:
            BundleError: the examples come from another network.
        """
        if embeddings.shape[1] != self._examples.shape[1]:
            raise BundleError(
                f"{EXAMPLES} holds embeddings of {self._examples.shape[1]} numbers, the network "
                f"gives {embeddings.shape[1]}; the bundle is refused"
            )
        seen = embeddings.astype(np.float64)
        squares = np.einsum("nd,nd->n", seen, seen)[:, None] + self._squares
        nearest: Doubles = (squares - 2 * seen @ self._examples.T).min(axis=1)
        distances: Doubles = np.sqrt(nearest.clip(0))
        return distances

    def reason(self, distance: float) -> str | None:
        """Why a picture at this distance is unlike all that was trained on, or None."""
        if self.limit is None or distance <= self.limit:
            return None
        return f"unlike anything in training: distance {distance:.2f}, limit {self.limit:.2f}"


def limit_of(distances: Doubles, share: float) -> float:
    """The distance that at most about a `share` of further such parts will exceed.

    The order statistic of split conformal prediction (Vovk et al., "Algorithmic Learning in a
    Random World", 2005): the ceil((n + 1)(1 - share))-th smallest; with too few parts for that,
    the largest.

    Args:
        distances: of parts that the network has not learned from, float64 N, N > 0.
        share: of further parts, above 0 and below 1.
    """
    rank = int(np.ceil((len(distances) + 1) * (1 - share)))
    return float(np.sort(distances)[min(rank, len(distances)) - 1])
