"""The Nystroem space of a kernel head, from features alone: no label and no regularisation in it.

Williams and Seeger, Using the Nystroem Method to Speed Up Kernel Machines, NIPS 2000.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import torch
from pydantic import Field
from safetensors.torch import load, save
from sklearn.utils.extmath import randomized_svd
from torch import Tensor

from pipeline.errors import TrainingError
from pipeline.plugins import Strict
from pipeline.source_code import code_digest
from pipeline.training import Floats
from pipeline.training.features.cache import Recall, compute_again
from pipeline.training.head_modules import kernel


class KernelSettings(Strict):
    """Settings of the space."""

    components: int = Field(384, ge=2, description="Principal components of the features to keep.")
    landmarks: int = Field(
        2048, ge=2, description="Number of training images that the kernel compares with."
    )
    kernel_width: float = Field(
        0.6, gt=0, description="1 / mean squared distance units; larger fits finer detail."
    )


@dataclass(frozen=True)
class NystroemSpace:
    """Features seen through the kernel.

    Nystroem: with K_mm = L L', the features K_nm L'^-1 have the kernel as their inner product, so
    that plain L2 on the weights is the kernel's own regularisation.

    Attributes:
        projection, shift: float32 D,P and P: `embedding = features @ projection + shift`.
        landmarks: float32 M,P, the embedding of some training images.
        factor: L, float64 M,M.
        x: what a linear model of these features is trained on, float32 N,M.
    """

    projection: Tensor
    shift: Tensor
    landmarks: Tensor
    factor: Tensor
    x: Tensor

    @classmethod
    def of(
        cls, features: Floats, config: KernelSettings, seed: int, recall: Recall = compute_again
    ) -> NystroemSpace:
        """The space of features float32 N,D.

        Args:
            features: of the training images.
            config: how many components and landmarks, how wide a kernel.
            seed: of the components and the choice of landmarks.
            recall: keeps spaces, so that other labels or regularisations find them.

        Raises:
            TrainingError: features that are not finite.
        """
        settings = [getattr(config, name) for name in KernelSettings.model_fields]
        code = code_digest(__name__)
        packages = [torch.__version__, version("scikit-learn"), version("numpy"), version("scipy")]
        facts = [features.shape, settings, seed, code, *packages]
        key = hashlib.sha256(repr(facts).encode())
        key.update(np.ascontiguousarray(features).data)
        kept = load(recall(key.hexdigest(), lambda: save(_computed(features, config, seed))))
        factor = _half(kept.pop("factor"), len(kept["landmarks"]))
        return cls(**kept, factor=factor)


def _computed(features: Floats, config: KernelSettings, seed: int) -> dict[str, Tensor]:
    """All of a space; of its factor the lower half, row by row."""
    projection, shift = components(features, config, seed)
    embedding = torch.from_numpy(features) @ projection + shift
    rng = torch.Generator().manual_seed(seed)
    landmarks = embedding[torch.randperm(len(embedding), generator=rng)[: config.landmarks]]
    gram = kernel(landmarks.double(), landmarks.double())
    factor = torch.linalg.cholesky(gram + 1e-6 * torch.eye(len(gram), dtype=torch.float64))
    similarity = kernel(embedding, landmarks).double()
    x = torch.linalg.solve_triangular(factor.T, similarity, upper=True, left=False)
    return {
        "projection": projection.contiguous(),
        "shift": shift,
        "landmarks": landmarks,
        "factor": factor[*_lower(len(factor))],
        # As it comes from the solver, column by column, training on it takes four times as long.
        "x": x.float().contiguous(),
    }


def _half(packed: Tensor, side: int) -> Tensor:
    factor = torch.zeros(side, side, dtype=packed.dtype)
    factor[*_lower(side)] = packed
    return factor


def _lower(side: int) -> Tensor:
    return torch.tril_indices(side, side)


def components(features: Floats, config: KernelSettings, seed: int) -> tuple[Tensor, Tensor]:
    """Standardise, keep principal components, scale by the kernel width: as one affine map.

    Args:
        features: float32 N,D.
        config: how many components, how wide.
        seed: of the randomised decomposition (Halko et al., SIAM Review 2011).

    Returns:
        Projection float32 D,P and shift float32 P: `embedding = features @ projection + shift`.

    Raises:
        TrainingError: features that are not finite.
    """
    if not np.isfinite(features).all():
        bad = int((~np.isfinite(features)).any(axis=1).sum())
        raise TrainingError(f"the features of {bad} image(s) are not finite; training stopped")
    mean, std = features.mean(0), features.std(0)
    std[std < 1e-6] = np.inf  # a constant feature carries no information
    n = min(config.components, *features.shape)
    _, sizes, axes = randomized_svd((features - mean) / std, n, n_iter=1, random_state=seed)
    spread = float(np.square(sizes, dtype=np.float64).sum()) / max(1, len(features) - 1)
    scale = np.sqrt(config.kernel_width / max(spread, 1e-12))
    projection = axes.T.astype(np.float64) / std[:, None] * scale
    shift = -(mean @ projection)
    return torch.from_numpy(projection.astype(np.float32)), torch.from_numpy(
        shift.astype(np.float32)
    )
