"""Torch modules that pool the logits of a part's tiles, in training and in the exported graph."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, softplus

# Of a sum of evidence: beyond, float32 has no more digits; up to NEAR a series is exact to 1e-7.
LEAST, NEAR, MOST = 1e-30, 0.1, 40.0


class TilePooling(nn.Module):
    """Logits of parts from the logits of their tiles.

    Asked is whether a tile is bad, as log odds `d` of the bad classes against the good ones; where
    no class is good, K times whether it shows a class. Noisy-or: a part is bad if any tile is, each
    for itself, so `1 - p = prod(1 - p_t)`, in log odds `log(exp(sum(softplus(d))) - 1)`. Top-k: the
    mean of the k largest `d`. Which bad class it is (or which good one) the tiles decide by how
    much they contribute: their share of the sum of `softplus(d)`.

    Attributes:
        k: number of tiles whose mean counts; 0: noisy-or.
        passing: which of the K classes are good.
        temperature: what the logits of parts are divided by.
    """

    temperature: Tensor

    def __init__(self, k: int, passing: Sequence[bool], temperature: float = 1.0) -> None:
        super().__init__()
        self.k, self.passing = k, tuple(passing)
        good = [i for i, passes in enumerate(passing) if passes]
        bad = [i for i, passes in enumerate(passing) if not passes]
        self._sides = (good, bad) if good and bad else None
        self._order = [(good + bad).index(i) for i in range(len(self.passing))]
        self.register_buffer("temperature", torch.tensor(float(temperature)))

    @property
    def name(self) -> str:
        """`noisy_or`, or `top_` and k."""
        return f"top_{self.k}" if self.k else "noisy_or"

    def forward(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Float32 P,T,K to logits of the parts P,K and contributions P,T, whose rows sum to 1."""
        if self._sides is None:
            # Of a probability p = exp(-x) the log odds are -log(exp(x) - 1).
            pooled, weight = self._pooled(-_log_expm1(-log_softmax(logits, 2)))
            likeliest = pooled.argmax(1)[:, None, None].expand(-1, logits.shape[1], 1)
            return pooled / self.temperature, weight.gather(2, likeliest)[:, :, 0]
        good, bad = (logits[:, :, side] for side in self._sides)
        odds = bad.logsumexp(2, keepdim=True) - good.logsumexp(2, keepdim=True)
        pooled, weight = self._pooled(odds)
        which = [log_softmax((weight * log_softmax(side, 2)).sum(1), 1) for side in (good, bad)]
        parts = torch.cat([which[0], which[1] + pooled], 1)[:, self._order]
        return parts / self.temperature, weight[:, :, 0]

    def _pooled(self, odds: Tensor) -> tuple[Tensor, Tensor]:
        """Of log odds P,T,Q those of the parts, P,Q, and the share of each tile, P,T,Q."""
        evidence = softplus(odds)
        if self.k:
            largest = odds.topk(self.k, 1).values
            counted = evidence * (odds >= largest[:, -1:])
            return largest.mean(1), counted / counted.sum(1, keepdim=True).clamp_min(LEAST)
        total = evidence.sum(1)
        return _log_expm1(total), evidence / total[:, None].clamp_min(LEAST)


def _log_expm1(x: Tensor) -> Tensor:
    """log(exp(x) - 1) of x from 0 up; near 0 by a series, since ONNX has no expm1."""
    small, large = x.clamp(LEAST, NEAR), x.clamp(NEAR, MOST)
    series = torch.log(small) + small / 2 + small * small / 24
    exact = torch.log(torch.exp(large) - 1)
    return torch.where(x < NEAR, series, torch.where(x < MOST, exact, x))


def by_part(rows: Tensor, n_tiles: int) -> Tensor:
    """Rows of tiles, P*T,K, as P,T,K."""
    return rows.reshape(-1, n_tiles, rows.shape[1])


class PooledHead(nn.Module):
    """A head and the pooling of its tiles: what the graph of a recipe in tiles ends with."""

    def __init__(self, head: nn.Module, pooling: TilePooling, n_tiles: int) -> None:
        super().__init__()
        self.head, self.pooling, self._n_tiles = head, pooling, n_tiles

    def forward(self, given: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the head takes of P*T tiles, to logits P,K, contributions P,T and embedding P*T,E.

        The head may be a whole network, which takes images.
        """
        logits, embedding = self.head(given)
        parts, contributions = self.pooling(by_part(logits, self._n_tiles))
        return parts, contributions, embedding
