"""The torch modules of the trained heads: features in, logits and embedding out.

Apart from `network`, so that what is cached of a head does not depend on the architectures.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class KernelHead(nn.Module):
    """Gaussian-kernel logistic regression on landmarks (Nystroem; Williams and Seeger, NIPS 2000).

    `logits = exp(-|e - landmarks|^2) @ weight + bias` with the embedding
    `e = features @ projection + shift`; projection holds standardisation, principal components
    and kernel width in one matrix.
    """

    projection: Tensor
    shift: Tensor
    landmarks: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(
        self, projection: Tensor, shift: Tensor, landmarks: Tensor, weight: Tensor, bias: Tensor
    ) -> None:
        """Shapes: projection D,P; shift P; landmarks M,P; weight M,K; bias K; all float32."""
        super().__init__()
        self.register_buffer("projection", projection)
        self.register_buffer("shift", shift)
        self.register_buffer("landmarks", landmarks)
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Float32 N,D to logits N,K and embedding N,P."""
        embedding = features @ self.projection + self.shift
        return kernel(embedding, self.landmarks) @ self.weight + self.bias, embedding


class LinearHead(nn.Module):
    """Multinomial logistic regression: `logits = e @ weight + bias`, `e` as in `KernelHead`.

    Weight and bias are parameters, which fine-tuning trains together with the backbone.
    """

    projection: Tensor
    shift: Tensor

    def __init__(self, projection: Tensor, shift: Tensor, weight: Tensor, bias: Tensor) -> None:
        """Shapes: projection D,P; shift P; weight P,K; bias K; all float32."""
        super().__init__()
        self.register_buffer("projection", projection)
        self.register_buffer("shift", shift)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Float32 N,D to logits N,K and embedding N,P."""
        embedding = features @ self.projection + self.shift
        return embedding @ self.weight + self.bias, embedding


def kernel(a: Tensor, b: Tensor) -> Tensor:
    """exp(-|a_i - b_j|^2), N,P and M,P to N,M."""
    distance = (a * a).sum(1, keepdim=True) + (b * b).sum(1) - 2 * a @ b.T
    return torch.exp(-distance.clamp_min(0))
