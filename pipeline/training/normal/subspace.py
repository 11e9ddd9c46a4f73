"""Principal components with a scale for each, and for all that lies outside of them.

The Mahalanobis distance under a covariance of low rank plus a multiple of the identity
(probabilistic principal components; Tipping and Bishop, JRSS B 61, 1999), which a few hundred good
parts can carry although they have thousands of features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from pipeline.training import Floats

LEAST_SCALE = 1e-6
LEAST_SHARE = 0.01  # of the median deviation: else rounding of a dead feature would count most
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Subspace:
    """Directions of D standardised features, the widest first.

    Attributes:
        mean, scale: of the features, float32 D.
        directions: orthonormal, float32 D,K.
        variance: along each of them, float64 K.
        outside: variance along any direction outside of them.
    """

    mean: Floats
    scale: Floats
    directions: Floats
    variance: Doubles
    outside: float

    @classmethod
    def of(cls, features: Floats, components: int) -> Subspace:
        """Fit features float32 N,D; fewer components where N or D allow no more."""
        mean = features.mean(0, dtype=np.float64).astype(np.float32)
        deviation = features.std(0, dtype=np.float64)
        varying = deviation[deviation > LEAST_SCALE]
        least = LEAST_SHARE * float(np.median(varying)) if len(varying) else 1.0
        scale = np.maximum(deviation, max(least, LEAST_SCALE)).astype(np.float32)
        x = torch.from_numpy((features - mean) / scale).double()
        n, d = x.shape
        k = max(1, min(components, n - 2, d - 1))
        if n <= d:  # the smaller Gram matrix has the same directions
            values, vectors = torch.linalg.eigh(x @ x.T)
            values = values.flip(0).clamp_min(0)
            directions = x.T @ vectors.flip(1)[:, :k] / values[:k].clamp_min(1e-12).sqrt()
        else:
            values, vectors = torch.linalg.eigh(x.T @ x)
            values, directions = values.flip(0).clamp_min(0), vectors.flip(1)[:, :k]
        variance = (values / n).numpy()
        rest = max(float(variance[k:].sum()) / (d - k), LEAST_SCALE)
        return cls(mean, scale, directions.float().numpy(), np.maximum(variance[:k], rest), rest)

    def cut(self, components: int) -> Subspace:
        """The first components alone; what the others held counts as outside."""
        k, d = min(components, len(self.variance)), len(self.mean)
        known = len(self.variance)
        rest = (self.variance[k:].sum() + self.outside * (d - known)) / (d - k)
        return Subspace(
            self.mean, self.scale, self.directions[:, :k], self.variance[:k], float(rest)
        )

    def distances(self, features: Floats) -> Doubles:
        """Mahalanobis distance of features float32 N,D, divided by the root of D: float64 N."""
        x = ((features - self.mean) / self.scale).astype(np.float64)
        along = x @ self.directions
        left = (np.square(x).sum(1) - np.square(along).sum(1)).clip(0)
        squares = (np.square(along) / self.variance).sum(1) + left / self.outside
        distances: Doubles = np.sqrt(squares / len(self.mean))
        return distances
