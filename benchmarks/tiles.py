"""`python -m benchmarks.tiles`: parts in tiles that nothing marks, by the poolings of their tiles.

Features of every development set in 2 x 2 tiles, without augmented views. For each seed five folds
by group, as in `benchmarks.heads`: heads learn from the parts of four and judge those of the fifth.

- worst: each tile bears the label of its part, the tile of the highest defect score speaks.
- noisy_or, top_k: trained through the pooling, from that head on.

No method chooses anything here; `train` chooses among them by inner folds.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks import development_sets
from benchmarks.development_sets import DevelopmentSet, Floats, Rows
from benchmarks.heads import FIGURES, FOLDS, figures
from pipeline.contracts.spec import Tiles
from pipeline.datasets.splits import assign_folds
from pipeline.files import write_json
from pipeline.inference.predictor import softmax
from pipeline.training.heads import fitting, logistic
from pipeline.training.pooling.fitting import HeadSpace, fit, pooled_logits
from pipeline.training.pooling.selection import WORST, offered
from pipeline.training.tile_pooling import TilePooling

TILES = Tiles(rows=2, columns=2, overlap=0.1)
N_TILES = TILES.rows * TILES.columns
# Of the recipes' 384 and 2048: what is compared are poolings of one head.
SMALLER = {"kind": "kernel", "kernel_width": 0.6, "components": 256, "landmarks": 1024, "l2": 0.015}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sets", nargs="+", default=("X-SDD", "castings", "pcb-crops"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--features", type=Path, help="folder that keeps the features")
    parser.add_argument("--json", type=Path, help="write the figures there")
    args = parser.parse_args()
    found: dict[str, Any] = {}
    for name in args.sets:
        data = development_sets.load(name, args.features, TILES)
        rows: dict[str, list[dict[str, float]]] = {}
        for seed in range(args.seeds):
            for method, judged in _in_folds(data, seed).items():
                truth = data.labels[::N_TILES]
                rows.setdefault(method, []).append(figures(truth, judged, data.passing))
        found[name] = rows
        _print(f"{name}: {len(data.labels) // N_TILES} parts in {N_TILES} tiles", rows)
        if args.json:
            write_json(args.json, found)


def _print(title: str, rows: dict[str, list[dict[str, float]]]) -> None:
    table = Table("pooling", *FIGURES, title=title)
    for method, of_seeds in rows.items():
        means = [float(np.mean([row[figure] for row in of_seeds])) for figure in FIGURES]
        table.add_row(method, *("" if np.isnan(m) else f"{m:.4f}" for m in means))
    Console().print(table)


def _in_folds(data: DevelopmentSet, seed: int) -> dict[str, Floats]:
    """Probabilities of every part, by heads that did not see its group, for each pooling."""
    labels, groups = data.labels[::N_TILES], data.groups[::N_TILES]
    folds = np.array(assign_folds([str(label) for label in labels], groups, FOLDS, seed))
    found: dict[str, Floats] = {}
    for fold in range(FOLDS):
        known, asked = (_tiles(np.flatnonzero(side)) for side in (folds != fold, folds == fold))
        for method, judged in _judged(data, known, asked, seed).items():
            whole = found.setdefault(method, np.empty((len(labels), len(data.passing)), np.float32))
            whole[folds == fold] = judged
    return found


def _tiles(parts: Rows) -> Rows:
    rows: Rows = (parts[:, None] * N_TILES + np.arange(N_TILES)).ravel()
    return rows


def _judged(data: DevelopmentSet, known: Rows, asked: Rows, seed: int) -> dict[str, Floats]:
    targets = np.eye(len(data.passing), dtype=np.float32)[data.labels[known]]
    config = data.settings.head.model_copy(update=SMALLER)
    head, _ = fitting.fit(data.values[known], targets, config, seed)
    tiles = softmax(logistic.logits_of(head, data.values[asked]))
    tiles = tiles.reshape(-1, N_TILES, len(data.passing))
    good = np.array(data.passing)
    # As the station has it; where no class is good each tile has the same defect score, 1.
    speaks = tiles[:, :, ~good].sum(axis=2).argmax(axis=1)
    found = {WORST: tiles[np.arange(len(tiles)), speaks]}
    space = HeadSpace.of(head)
    x, seen = space.seen(data.values[known]), space.seen(data.values[asked])
    wanted = torch.from_numpy(targets[::N_TILES])
    for name, k in offered("auto", N_TILES).items():
        pooling = TilePooling(k, data.passing)
        weights = fit(space, x, N_TILES, wanted, pooling)
        found[name] = softmax(pooled_logits(space, weights[:2], seen, N_TILES, pooling))
    return found


if __name__ == "__main__":
    main()
