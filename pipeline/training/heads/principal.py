"""Principal components of standardised features: no label and no regularisation in them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import torch
from safetensors.torch import load, save
from sklearn.utils.extmath import randomized_svd
from torch import Tensor

from pipeline.errors import TrainingError
from pipeline.source_code import code_digest
from pipeline.training import Floats
from pipeline.training.features.cache import Recall, compute_again


@dataclass(frozen=True)
class Principal:
    """Features as principal components, leading first.

    Attributes:
        projection, shift: float32 D,P and P: `x = features @ projection + shift`.
        deviation: standard deviation of each component, float32 P.
        x: the components of the features that they were found on, float32 N,P; its rows have a mean
            square length of 1.
        digest: of all that they depend on.
    """

    projection: Tensor
    shift: Tensor
    deviation: Tensor
    x: Tensor
    digest: str

    @classmethod
    def of(cls, features: Floats, n: int, seed: int, recall: Recall = compute_again) -> Principal:
        """The `n` leading components of features float32 N,D, or as many as there are.

        Args:
            features: of the training images.
            n: how many.
            seed: of the randomised decomposition (Halko et al., SIAM Review 2011).
            recall: keeps them.

        Raises:
            TrainingError: features that are not finite.
        """
        packages = [torch.__version__, version("scikit-learn"), version("numpy"), version("scipy")]
        facts = [features.shape, n, seed, code_digest(__name__), *packages]
        key = hashlib.sha256(repr(facts).encode())
        key.update(np.ascontiguousarray(features).data)
        digest = key.hexdigest()
        return cls(
            **load(recall(digest, lambda: save(_computed(features, n, seed)))), digest=digest
        )

    def seen(self, features: Floats) -> Tensor:
        """The components of other features float32 N,D, float32 N,P."""
        return torch.from_numpy(features) @ self.projection + self.shift


def _computed(features: Floats, n: int, seed: int) -> dict[str, Tensor]:
    if not np.isfinite(features).all():
        bad = int((~np.isfinite(features)).any(axis=1).sum())
        raise TrainingError(f"the features of {bad} image(s) are not finite; training stopped")
    mean, std = features.mean(0), features.std(0)
    std[std < 1e-6] = np.inf  # a constant feature carries no information
    n = min(n, *features.shape)
    _, sizes, axes = randomized_svd((features - mean) / std, n, n_iter=1, random_state=seed)
    length = max(np.sqrt(np.square(sizes, dtype=np.float64).mean() * n / len(features)), 1e-6)
    projection = axes.T.astype(np.float64) / std[:, None] / length
    made = {
        "projection": projection,
        "shift": -(mean @ projection),
        "deviation": np.maximum(sizes / np.sqrt(len(features)) / length, 1e-6),
    }
    tensors = {k: torch.from_numpy(np.ascontiguousarray(v, np.float32)) for k, v in made.items()}
    tensors["x"] = torch.from_numpy(features) @ tensors["projection"] + tensors["shift"]
    return tensors
