"""Which pooling of tiles: by grouped out-of-fold log loss of the parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import log_softmax

from pipeline.training import Floats
from pipeline.training.head_modules import Head
from pipeline.training.heads.calibration import temperature
from pipeline.training.pooling.fitting import HeadSpace, fit, pooled_logits
from pipeline.training.tile_pooling import TilePooling

WORST = "worst"  # tiles bear the label of their part; nothing is trained through the pooling
NOISY_OR = "noisy_or"
Rows = npt.NDArray[np.intp]
Fit = Callable[[Rows], Head]


def offered(wanted: str, n_tiles: int) -> dict[str, int]:
    """The poolings to compare, by name, each with the k of `TilePooling`.

    Args:
        wanted: of the setting `pooling`: auto, noisy_or or top_k.
        n_tiles: of a part.
    """
    several = sorted({1, 2, -(-n_tiles // 4), n_tiles} & set(range(1, n_tiles + 1)))
    means = {f"top_{k}": k for k in several}
    return {"auto": {NOISY_OR: 0, **means}, "top_k": means}.get(wanted, {NOISY_OR: 0})


@dataclass(frozen=True)
class PoolingChoice:
    """What out-of-fold scores show of poolings.

    Attributes:
        name: of the best; `WORST` where the worst tile of a head that knows no pooling is better.
        k: as of `TilePooling`.
        logits: out of fold of P parts by the best, float32 P,K.
        losses: of all that were compared, in nats a part, each at its best temperature, the least
            first.
    """

    name: str
    k: int
    logits: Floats
    losses: Mapping[str, float]

    @property
    def lines(self) -> list[str]:
        """For people."""
        if not self.losses:
            return [f"pooling of tiles: {self.name}, without folds to choose by"]
        first, *rest = (f"{name} {loss:.4f}" for name, loss in self.losses.items())
        other = f"; runner-up {rest[0]}" if rest else ""
        return [f"pooling of tiles: {first} log loss of parts out of fold{other}"]

    @property
    def facts(self) -> dict[str, Any]:
        """For report.json."""
        return {"name": self.name, "oof_log_losses": dict(self.losses)}


def choose(
    features: Floats,
    image_of: Rows,
    targets: Floats,
    weights: Floats,
    folds: Rows,
    n_tiles: int,
    passing: Sequence[bool],
    poolings: Mapping[str, int],
    head_of: Fit,
    worst: Floats | None = None,
) -> PoolingChoice:
    """Compare poolings on parts that no head has seen.

    Args:
        features: float32 F,D, of the N images as they are, then of views; always all T tiles of a
            part, next to each other.
        image_of: which image each row of features shows, int F.
        targets: float32 N,K, of the parts that the images show.
        weights: how much each image counts in the loss of training, float32 N; the comparison
            counts every part as one.
        folds: of the images, int N.
        n_tiles: of a part, T.
        passing: which of the K classes are good.
        poolings: as `offered` gives them.
        head_of: trains a head on some rows of `features`, to start from.
        worst: logits P,K of the worst tiles, out of fold too; None: not compared.

    Raises:
        TrainingError: a loss that is not finite.
    """
    truth, part_folds = targets[::n_tiles], folds[::n_tiles]
    found = {name: np.empty_like(truth) for name in poolings}
    for fold in range(int(folds.max()) + 1):
        known, unseen = np.flatnonzero(folds[image_of] != fold), np.flatnonzero(folds == fold)
        space = HeadSpace.of(head_of(known))
        x, asked = space.seen(features[known]), space.seen(features[unseen])
        images = image_of[known[::n_tiles]]
        wanted = torch.from_numpy(targets[images] * weights[images, None])
        for name, k in poolings.items():
            pooling = TilePooling(k, passing)
            w, bias, _ = fit(space, x, n_tiles, wanted, pooling)
            judged = pooled_logits(space, (w, bias), asked, n_tiles, pooling)
            found[name][part_folds == fold] = judged
    if worst is not None:
        found[WORST] = worst
    losses = {name: _log_loss(logits, truth) for name, logits in found.items()}
    losses = dict(sorted(losses.items(), key=lambda item: item[1]))
    best = next(iter(losses))
    return PoolingChoice(best, poolings.get(best, 1), found[best], losses)


def _log_loss(logits: Floats, truth: Floats) -> float:
    cooled = logits / np.float32(temperature(logits, truth))
    return float(-(truth * log_softmax(cooled, axis=1)).sum(axis=1).mean())
