"""Parts in tiles, of which one tile makes a bad part bad, as features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from pipeline.contracts.taxonomy import Disposition, PartClass, Taxonomy
from pipeline.training import Floats
from pipeline.training.head_modules import Head, LinearHead
from pipeline.training.heads import fitting
from pipeline.training.heads.settings import HeadSettings

N_TILES = 4
PASSING = (True, False)
SETTINGS = HeadSettings(components=6, landmarks=64, l2=0.05, max_epochs=4)
TAXONOMY = Taxonomy(
    classes=(
        PartClass(name="good", disposition=Disposition.PASS),
        PartClass(name="bad", disposition=Disposition.SCRAP),
    )
)


@dataclass(frozen=True)
class Parts:
    """`features` P*T,D and `targets` P*T,2 of the tiles, which bear the label of their part."""

    features: Floats
    targets: Floats
    bad_tile: npt.NDArray[np.bool_]

    @property
    def folds(self) -> npt.NDArray[np.intp]:
        return np.repeat(np.arange(len(self.targets) // N_TILES) % 3, N_TILES)


def parts(n: int = 120, seed: int = 0) -> Parts:
    """Every second part is bad: in one tile, which lies elsewhere in two of eight features."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, N_TILES, 8)).astype(np.float32)
    is_bad = np.arange(n) % 2 == 1
    bad_tile = np.zeros((n, N_TILES), np.bool_)
    bad_tile[is_bad, rng.integers(0, N_TILES, n // 2)] = True
    features[bad_tile, :2] += 3.5
    targets = np.eye(2, dtype=np.float32)[is_bad.astype(int)].repeat(N_TILES, axis=0)
    return Parts(features.reshape(-1, 8), targets, bad_tile)


def inherited(of: Parts) -> Head:
    """A head that believes each tile to be what its part is."""
    return fitting.fit(of.features, of.targets, SETTINGS, seed=0)[0]


def linear(of: Parts) -> LinearHead:
    return LinearHead(torch.eye(8), torch.zeros(8), torch.zeros((8, 2)), torch.zeros(2))
