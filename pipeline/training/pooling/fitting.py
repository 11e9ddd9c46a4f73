"""Trains the head of a frozen backbone through the pooling of tiles.

By gradients through the pooling, not by relabelling tiles: fine-tuning has the same loss, and a
kernel head that relabels its own training tiles confirms what it has learned by heart, unless heads
of other folds relabel them, after which folds are no longer unseen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pipeline.errors import TrainingError
from pipeline.training import Floats
from pipeline.training.head_modules import Head, KernelPart, LinearHead, MeanHead, kernel
from pipeline.training.tile_pooling import TilePooling, by_part

RANK = 256  # leading directions of a kernel that are trained
NEGLIGIBLE = 1e-6  # of the largest eigenvalue: float32 has no more digits
REMEDY = "write pooling: worst in train.yaml to train without pooling"
ITERATIONS = 60  # of L-BFGS
STRENGTH = 0.05  # of the L2 regularisation


@dataclass(frozen=True)
class HeadSpace:
    """What the last layer of a head is linear in, in directions that its kernel makes equal.

    Attributes:
        head: trained on tiles that bear the label of their part; a kernel alone, or none.
        factor: float32 H,R: `x = hidden @ factor` and `weight = factor @ w`.
        start: the head's own weights there, float32 R,K.
    """

    head: Head
    factor: Tensor
    start: Tensor

    @classmethod
    def of(cls, head: Head) -> HeadSpace:
        """The space of a head; of a kernel its leading directions."""
        part = _kernel_of(head)
        if part is None:
            weight = head.weight.detach()
            return cls(head, torch.eye(len(weight)), weight.clone())
        gram = kernel(part.landmarks, part.landmarks)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            axes, sizes, _ = torch.svd_lowrank(gram, q=min(RANK, len(gram)))
        used = sizes > NEGLIGIBLE * sizes[0]
        root = sizes[used].sqrt()
        factor = (axes[:, used] / root).contiguous()
        return cls(head, factor, root[:, None] * (axes[:, used].T @ part.weight))

    def seen(self, features: Floats) -> Tensor:
        """Float32 N,D to N,R."""
        with torch.no_grad():
            hidden = torch.from_numpy(features) @ self.head.projection + self.head.shift
            part = _kernel_of(self.head)
            return (hidden if part is None else part.compared(hidden)) @ self.factor

    def with_weights(self, w: Tensor, bias: Tensor) -> Head:
        """The head with other weights, float32 R,K and K."""
        head, weight, part = self.head, (self.factor @ w).contiguous(), _kernel_of(self.head)
        if part is None:
            return LinearHead(head.projection, head.shift, weight, bias)
        kernels = [KernelPart(part.scale, part.landmarks, weight)]
        return MeanHead(head.projection, head.shift, torch.zeros_like(head.weight), bias, kernels)


def _kernel_of(head: Head) -> KernelPart | None:
    if isinstance(head, LinearHead):
        return None
    (part,) = head.kernels
    assert isinstance(part, KernelPart)
    assert not head.weight.any(), "a kernel and a line together are no start"
    return part


def fit(
    space: HeadSpace, x: Tensor, n_tiles: int, targets: Tensor, pooling: TilePooling
) -> tuple[Tensor, Tensor, list[float]]:
    """Weights and bias in the space by the log loss of pooled parts, and the losses on the way.

    Args:
        space: of the head to start from.
        x: float32 P*T,R, of the training tiles, those of a part next to each other.
        n_tiles: of a part, T.
        targets: float32 P,K, of the parts, each multiplied by how much the part counts.
        pooling: of their tiles.

    Raises:
        TrainingError: the loss is not finite.
    """
    w = space.start.clone().requires_grad_()
    b = space.head.bias.detach().clone().requires_grad_()
    history: list[float] = []
    optimizer: Any = torch.optim.LBFGS(
        [w, b], max_iter=ITERATIONS, history_size=10, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        parts, _ = pooling(by_part(x @ w + b, n_tiles))
        loss = cross_entropy(parts, targets) + STRENGTH * w.square().sum() / (2 * len(targets))
        torch.autograd.backward(loss)
        history.append(float(loss.detach()))
        if not math.isfinite(history[-1]):
            raise TrainingError(f"the loss of pooled tiles became {history[-1]}; {REMEDY}")
        return loss

    optimizer.step(closure)
    return w.detach(), b.detach(), history


def pooled_logits(
    space: HeadSpace, weights: tuple[Tensor, Tensor], x: Tensor, n_tiles: int, pooling: TilePooling
) -> Floats:
    """Logits of parts, float32 P,K, of tiles x float32 P*T,R."""
    with torch.no_grad():
        w, b = weights
        found: Floats = pooling(by_part(x @ w + b, n_tiles))[0].numpy()
    return found
