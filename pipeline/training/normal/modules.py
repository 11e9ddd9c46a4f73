"""The torch modules of the graph: pixels to patches and pooled features, and these to scores."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from pipeline.training.network import Features, pooled

ORDINARY, STRANGE = 0.8, 2.0
NEIGHBOURS = 3  # patches see so many places of their map, each way


def levels(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of neighbouring levels of feature maps, as positions, from fine to coarse.

    Args:
        sizes: height of each map, from fine to coarse; of those of one size the last is taken.

    Returns:
        The two coarsest pairs, as PatchCore takes them, or the one that there is; a network of one
        size has a pair of it alone.
    """
    last = {size: position for position, size in enumerate(sizes)}
    found = [last[size] for size in sorted(last, reverse=True)]
    return list(pairwise(found))[-2:] if len(found) > 1 else [(found[0], found[0])]


def patches(maps: Sequence[Tensor], pair: tuple[int, int]) -> Tensor:
    """Each place of two levels with its neighbours, on the finer one's grid: N,C,h,w."""
    found = []
    for position in dict.fromkeys(pair):
        # Zeros around the map count: the border, which sees half of what it should, is damped. Left
        # out, AUROC on pcb-crops falls from 0.90 to 0.61.
        near = avg_pool2d(maps[position], NEIGHBOURS, 1, NEIGHBOURS // 2)
        size = maps[pair[0]].shape[-2:]
        if near.shape[-2:] != size:
            fixed = (int(size[0]), int(size[1]))
            near = interpolate(near, fixed, mode="bilinear", align_corners=False)
        found.append(near)
    return torch.cat(found, 1)


class Described(nn.Module):
    """What an image is described by: patches of each pair of levels, then pooled features."""

    def __init__(self, features: Features, pairs: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        self.features = features
        self._pairs = tuple(pairs)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """uint8 N,H,W,C to float32 N,C,h,w for each pair, then N,D."""
        maps = self.features.maps(image)
        return (*(patches(maps, pair) for pair in self._pairs), pooled(maps))


class Memory(nn.Module):
    """Distance of each patch to the nearest one that the memory holds."""

    projection: Tensor
    shift: Tensor
    kept: Tensor

    def __init__(self, projection: Tensor, shift: Tensor, kept: Tensor, floor: float) -> None:
        """Shapes: projection C,P; shift P; kept M,P. `floor` is added to squared distances.

        Near nothing they are rounding alone, which the root would enlarge.
        """
        super().__init__()
        self.register_buffer("projection", projection)
        self.register_buffer("shift", shift)
        self.register_buffer("kept", kept)
        self.floor = floor

    def forward(self, grid: Tensor) -> Tensor:
        """Patches float32 N,C,h,w to distances N,h,w."""
        places = grid.permute(0, 2, 3, 1) @ self.projection + self.shift
        cross = places @ self.kept.T
        nearest = ((self.kept * self.kept).sum(1) - 2 * cross).argmin(3)
        # By differences, not by the cross product: that has lost the digits of small distances.
        squares = (places - self.kept[nearest]).square().sum(3)
        return (squares + self.floor).sqrt()


class PooledDistance(nn.Module):
    """Mahalanobis distance of pooled features, and their components as an embedding."""

    mean: Tensor
    inverse: Tensor
    directions: Tensor
    spread: Tensor

    def __init__(
        self, mean: Tensor, scale: Tensor, directions: Tensor, variance: Tensor, outside: float
    ) -> None:
        """Shapes: mean and scale D; directions D,K; variance K."""
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("inverse", 1 / scale)
        self.register_buffer("directions", directions)
        self.register_buffer("spread", variance.sqrt())
        self.outside = outside

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Float32 N,D to distances N, divided by the root of D, and embedding N,K."""
        x = (features - self.mean) * self.inverse
        along = x @ self.directions
        left = (x * x).sum(1) - (along * along).sum(1)
        embedding = along / self.spread
        squares = (embedding * embedding).sum(1) + left.clamp_min(0) / self.outside
        return (squares / features.shape[1]).sqrt(), embedding


def worst_places(distances: Tensor, share: float) -> Tensor:
    """Mean over that share of the places N,h,w which are farthest, at least one: N."""
    places = distances.flatten(1)
    n = places_counted(int(places.shape[1]), share)
    if n == places.shape[1]:
        return places.mean(1)
    return places.amax(1) if n == 1 else places.topk(n, 1).values.mean(1)


def places_counted(places: int, share: float) -> int:
    """How many of the places the score of a picture is the mean of."""
    return max(1, round(share * places))


class NormalNetwork(nn.Module):
    """Pixels to logits, embedding and anomaly map: what the bundle of method `normal` holds."""

    base: Tensor
    bad: Tensor

    def __init__(
        self,
        features: Features,
        pair: tuple[int, int],
        memory: Memory,
        pooled_distance: PooledDistance,
        *,
        share: float,
        weights: tuple[float, float],
        slope: float,
        intercept: float,
        unit: float,
        base: Tensor,
        bad: Tensor,
    ) -> None:
        """Put the parts together.

        Args:
            features: the backbone; its first scale is what is looked at.
            pair: levels of the patches.
            memory, pooled_distance: the two scorers.
            share: of the places that the memory's score is the mean of.
            weights: of the logarithms of both distances in the score; one may be 0.
            slope, intercept: from score to log odds.
            unit: distance of the farthest place of an ordinary good part; the map is 0 up to
                `ORDINARY` of it and 1 from `STRANGE` times it on.
            base: logit of each class where the log odds are 0, float32 K.
            bad: 1 for the class that a bad part is called, to which they are added; float32 K.
        """
        super().__init__()
        self.features = features
        self.memory = memory
        self.pooled_distance = pooled_distance
        self._pair, self._share, self._weights = pair, share, weights
        self._slope, self._intercept, self._unit = slope, intercept, unit
        self.register_buffer("base", base)
        self.register_buffer("bad", bad)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """uint8 N,H,W,C to logits N,K, embedding N,P and anomaly map N,h,w, all float32."""
        maps = self.features.maps(image)
        distances = self.memory(patches(maps, self._pair))
        whole, embedding = self.pooled_distance(pooled(maps))
        score = torch.zeros_like(whole)
        if self._weights[0]:
            score = score + self._weights[0] * worst_places(distances, self._share).log()
        if self._weights[1]:
            score = score + self._weights[1] * whole.log()
        odds = self._slope * score + self._intercept
        logits = self.base + self.bad * odds[:, None]
        heat = (distances / self._unit - ORDINARY) / (STRANGE - ORDINARY)
        return logits, embedding, heat.clamp(0, 1)
