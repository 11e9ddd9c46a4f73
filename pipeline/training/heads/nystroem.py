"""The Nystroem space of a Gaussian kernel on principal components, without labels.

Williams and Seeger, Using the Nystroem Method to Speed Up Kernel Machines, NIPS 2000.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from safetensors.torch import load, save
from torch import Tensor

from pipeline.source_code import code_digest
from pipeline.training.features.cache import Recall, compute_again
from pipeline.training.head_modules import kernel
from pipeline.training.heads.principal import Principal

FEW = 1024  # landmarks
RANK = 512  # directions of the kernel that a head with few landmarks uses
NEGLIGIBLE = 1e-6  # of the largest eigenvalue: float32 has no more digits


@dataclass(frozen=True)
class NystroemSpace:
    """Components seen through the kernel.

    With F F' = K_mm^-1 of the landmarks' kernel matrix, the features K_nm F have the kernel as
    their inner product, so that plain L2 on the weights is the kernel's own regularisation.

    Attributes:
        scale: the kernel compares `scale * components`.
        landmarks: float32 M,P, scaled components of some training images.
        factor: F, float32 M,R; of few landmarks only its leading directions.
        x: what a linear model of these features is trained on, float32 N,R.
    """

    scale: float
    landmarks: Tensor
    factor: Tensor
    x: Tensor

    @classmethod
    def of(
        cls,
        principal: Principal,
        components: int,
        width: float,
        landmarks: int,
        seed: int,
        recall: Recall = compute_again,
    ) -> NystroemSpace:
        """The space of training images.

        Args:
            principal: their components.
            components: how many of these the kernel compares.
            width: factor of the squared distance, of which the mean over pairs is about 2.
            landmarks: how many images the kernel compares with.
            seed: of their choice.
            recall: keeps spaces, so that other labels or regularisations find them.
        """
        facts = [principal.digest, components, width, landmarks, seed, code_digest(__name__)]
        key = hashlib.sha256(repr(facts).encode()).hexdigest()
        scale = width**0.5
        x = principal.x[:, :components] * scale
        kept = load(recall(key, lambda: save(_computed(x, landmarks, seed))))
        return cls(scale, **kept)

    def seen(self, components: Tensor) -> Tensor:
        """Kernel features float32 N,R of unscaled components N,P or more."""
        x = components[:, : self.landmarks.shape[1]] * self.scale
        return kernel(x, self.landmarks) @ self.factor


def _computed(x: Tensor, n: int, seed: int) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    landmarks = x[torch.randperm(len(x), generator=rng)[:n]].contiguous()
    gram = kernel(landmarks.double(), landmarks.double())
    factor = (_leading(gram) if len(gram) <= FEW else _all(gram)).float().contiguous()
    # Contiguous: column by column, training on it takes four times as long.
    made = (kernel(x, landmarks) @ factor).contiguous()
    return {"landmarks": landmarks, "factor": factor, "x": made}


def _leading(gram: Tensor) -> Tensor:
    """Of eigenvectors U and eigenvalues S: U S^-1/2 of the leading ones."""
    sizes, axes = torch.linalg.eigh(gram)
    sizes, axes = sizes[-RANK:], axes[:, -RANK:]
    used = sizes > NEGLIGIBLE * sizes[-1]
    leading: Tensor = axes[:, used] / sizes[used].sqrt()
    return leading


def _all(gram: Tensor) -> Tensor:
    """L'^-1 of Cholesky's factor L: of many landmarks much sooner there than eigenvectors."""
    identity = torch.eye(len(gram), dtype=gram.dtype)
    floor = NEGLIGIBLE * gram.mean() * len(gram)
    factor = torch.linalg.cholesky(gram + floor * identity)
    inverse: Tensor = torch.linalg.solve_triangular(factor.T, identity, upper=True)
    return inverse
