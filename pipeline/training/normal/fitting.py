"""Fits method `normal`: describes the images, chooses a scorer, fits it and sets its scale."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets.scores import Consulted
from pipeline.errors import TrainingError
from pipeline.imaging import Pixels
from pipeline.inference.predictor import softmax
from pipeline.training import Floats
from pipeline.training.export import export, parity
from pipeline.training.network import Features, Together
from pipeline.training.normal import choosing
from pipeline.training.normal.choosing import Scored
from pipeline.training.normal.injection import inject
from pipeline.training.normal.modules import Memory, NormalNetwork, PooledDistance
from pipeline.training.normal.patches import DescribedImages, Describer, Watch
from pipeline.training.normal.settings import NormalSettings
from pipeline.training.normal.subspace import Subspace
from pipeline.training.training_data import TrainingData

Bools = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
OUTPUTS = ("logits", "embedding", "heat")
FOLDS = 5
FEWEST = 10  # good images: with fewer nothing is known of how good parts differ
ENOUGH_KNOWN = 8  # known bad parts that choose alone; fewer choose together with injected defects
ELSEWHERE = -30.0  # logit of a class that a part is never called
STEEPEST = 20.0  # log odds a standard deviation of good parts' scores


@dataclass(frozen=True)
class FittedNormal:
    """A model of good parts.

    Attributes:
        network: what is exported.
        out_of_fold: probabilities float32 N,K of the camera's training images by models that saw
            neither them nor their group; None where there is one group only.
        history: radius of the memory as it grew; columns epoch and loss.
        lines, facts: for people and for report.json.
        consulted: what was chosen by parts that it did not learn from.
        pooling: of several tiles the worst one decides.
    """

    network: NormalNetwork
    out_of_fold: Floats | None
    history: pd.DataFrame
    lines: list[str]
    facts: dict[str, Any]
    consulted: Consulted
    method: Literal["normal"] = "normal"
    pooling: None = None

    def params(self) -> dict[str, str]:
        """The choice and the runner-up, for the run in the registry."""
        return {f"train.chosen.{key}": str(value) for key, value in self.facts["normal"].items()}


def fit(
    features: Features | Together,
    data: TrainingData,
    config: NormalSettings,
    seed: int,
    folder: Path,
    watch: Watch,
) -> FittedNormal:
    """Fit a model of the good training images.

    Args:
        features: the frozen backbone; its first scale is used.
        data: bad images of it choose the scorer, and nothing is learned from them.
        config: settings of the method.
        seed: of the coreset, the injected defects and what is drawn.
        folder: for what is passing.
        watch: follows the computing, as `Describer` has it.

    Raises:
        TrainingError: there are too few good images.
    """
    assert isinstance(features, Features), "settings allow one network"
    good = data.targets.argmax(1)
    is_good = np.array(data.taxonomy.passing)[good]
    known = np.flatnonzero(is_good)
    if len(known) < FEWEST:
        raise TrainingError(
            f"method normal learns from good parts, and there are {len(known)} training images of "
            f"them; {FEWEST} are the least, some hundred the rule"
        )
    folds = _folds(data, known)
    images = _WithDefects(data, known, folds, config.injected, seed)
    describer = Describer(features, data.images[0], folder)
    components = describer.components(images.stack, known, config.components, seed)
    rows = np.arange(len(images))
    found = describer(images.stack, rows, components, "patches", watch)
    mask = np.concatenate([is_good, np.zeros(images.n_injected, bool)])
    injected = np.arange(len(images)) >= len(is_good)
    bad = ~mask & ~injected
    n_known = int(bad.sum())
    if n_known < ENOUGH_KNOWN:
        bad = ~mask
    distances = choosing.out_of_fold(
        found, mask, images.folds, memory=config.memory, pool=config.pool, seed=seed
    )
    scored = choosing.ranked(
        list(choosing.candidates(distances, mask, bad, config.scorer)),
        int(bad.sum()),
        int(mask.sum()),
    )
    best = scored[0]
    slope, intercept = _log_odds(best.scores, mask, bad)
    network, history = _network(
        features, found, best, mask, config, seed, (slope, intercept), data.taxonomy, good[known]
    )
    odds = slope * best.scores[: data.images.n_real] + intercept
    base, named = _classes(data.taxonomy, good[known])
    logits = base + named * odds[:, None].astype(np.float32)
    runner_up = next((s for s in scored[1:] if s.scorer.kind != best.scorer.kind), None)
    runner_up = runner_up or (scored[1] if len(scored) > 1 else None)
    facts: dict[str, Any] = {
        "scorer": best.scorer.name,
        "auroc": best.auroc,
        "runner_up": runner_up.scorer.name if runner_up else None,
        "runner_up_auroc": runner_up.auroc if runner_up else None,
        "compared": len(scored),
        "known_bad": n_known,
        "injected": images.n_injected,
        "chosen_by": _basis(n_known, images.n_injected),
        "memory": int(network.memory.kept.shape[0]),
        "patch_components": int(network.memory.kept.shape[1]),
        "folds": int(images.folds.max()) + 1,
    }
    return FittedNormal(
        network=network,
        out_of_fold=softmax(logits.astype(np.float32)) if facts["folds"] > 1 else None,
        history=history,
        lines=_lines(best, runner_up, facts),
        facts={"n_features": int(found.pooled.shape[1]), "normal": facts},
        consulted=Consulted(by_out_of_fold=("scorer", "scale of the scores")),
    )


class _WithDefects:
    """The training images, then good ones with injected defects, by one position."""

    def __init__(
        self, data: TrainingData, known: Ints, folds: Ints, wanted: int, seed: int
    ) -> None:
        self._data = data
        rng = np.random.default_rng(seed)
        made: list[Pixels] = []
        sources: list[int] = []
        for row in np.sort(rng.permutation(known)[:wanted]):
            other = data.images[int(rng.choice(known))]
            image = inject(data.images[int(row)], other, rng)
            if image is not None:
                made.append(image)
                sources.append(int(row))
        self._made = made
        self.n_injected = len(made)
        self.folds = np.concatenate([folds, folds[np.array(sources, np.intp)]])

    def __len__(self) -> int:
        return len(self._data.images) + self.n_injected

    def stack(self, positions: Ints) -> Pixels:
        """Some images, uint8 n,H,W,C."""
        n = len(self._data.images)
        return np.stack(
            [self._data.images[int(i)] if i < n else self._made[int(i) - n] for i in positions]
        )


def _folds(data: TrainingData, known: Ints) -> Ints:
    """Those of ingest or, without, some of our own by group; all 0 where there is one group."""
    folds = data.images.index["fold"].to_numpy(np.intp)
    if len(np.unique(folds[known])) > 1 and folds.min() >= 0:
        return folds
    groups = data.images.index["group"].to_numpy(str)
    n = min(FOLDS, len(np.unique(groups[known])))
    if n < 2:
        return np.zeros(len(groups), np.intp)
    own = np.zeros(len(groups), np.intp)
    for fold, (_, rows) in enumerate(GroupKFold(n).split(own, groups=groups)):
        own[rows] = fold
    return own


def _log_odds(scores: Doubles, good: Bools, bad: Bools) -> tuple[float, float]:
    """From scores to log odds that a part is like the bad ones, by logistic regression.

    With Platt's targets in effect (a strong prior on the slope), since good and bad may separate.
    """
    if not bad.any():
        return 1.0, -3.0
    rows = np.flatnonzero(good | bad)
    fitted = LogisticRegression(class_weight="balanced", C=1.0)
    fitted.fit(scores[rows, None], bad[rows])
    slope = float(np.clip(fitted.coef_[0, 0], 0.1, STEEPEST))
    return slope, float(fitted.intercept_[0])


def write_graph(fitted: FittedNormal, data: TrainingData, path: Path) -> float:
    """Export to ONNX; by how much it differs from torch on real images, relative to the outputs.

    Raises:
        TrainingError: by more than `export.PARITY`.
    """
    sample = data.sample()
    export(fitted.network, sample[0], "image", OUTPUTS, path)
    return parity(fitted.network, path, sample)


def _network(
    features: Features,
    found: DescribedImages,
    best: Scored,
    good: Bools,
    config: NormalSettings,
    seed: int,
    line: tuple[float, float],
    taxonomy: Taxonomy,
    labels: Ints,
) -> tuple[NormalNetwork, pd.DataFrame]:
    rows, pair = np.flatnonzero(good), best.scorer.pair
    patches, components = found.patches[pair], found.components[pair]
    scale = components.scale(best.scorer.whitening)
    kept = choosing.memory_of(patches, rows, scale, config.memory, config.pool, seed)
    some, radii = rows[:: max(1, len(rows) // 64)], kept.radii
    unit = float(np.median(kept.distances(patches, some).max(1)))
    space = Subspace.of(found.pooled[rows], best.scorer.components)
    base, named = _classes(taxonomy, labels)
    slope, intercept = line
    network = NormalNetwork(
        features,
        found.pairs[pair],
        Memory(
            torch.from_numpy(components.projection * scale),
            torch.from_numpy(components.shift * scale),
            torch.from_numpy(kept.patches),
            kept.floor,
        ),
        PooledDistance(
            torch.from_numpy(space.mean),
            torch.from_numpy(space.scale),
            torch.from_numpy(space.directions),
            torch.from_numpy(space.variance.astype(np.float32)),
            space.outside,
        ),
        share=best.scorer.share,
        weights=best.weights,
        slope=slope,
        intercept=slope * best.offset + intercept,
        unit=unit,
        base=torch.from_numpy(base),
        bad=torch.from_numpy(named),
    )
    steps = [i for i in range(len(radii)) if i & (i + 1) == 0 or i == len(radii) - 1]
    history = pd.DataFrame({"epoch": range(1, len(steps) + 1), "loss": [radii[i] for i in steps]})
    return network.eval().requires_grad_(False), history


def _classes(taxonomy: Taxonomy, labels: Ints) -> tuple[Floats, Floats]:
    """Logits of each class at log odds of 0, and 1 for the class that a bad part is called.

    A model of good parts cannot know which defect it sees: it is called by the gravest class.
    """
    passing = np.array(taxonomy.passing)
    shares = np.bincount(labels, minlength=len(passing)) / max(1, len(labels))
    base = np.full(len(passing), ELSEWHERE, np.float32)
    base[passing] = np.log(shares[passing].clip(np.exp(ELSEWHERE)))
    worst = taxonomy.index(taxonomy.gravest([n for n in taxonomy.names if n not in taxonomy.good]))
    base[worst] = 0.0
    named = np.zeros(len(passing), np.float32)
    named[worst] = 1.0
    return base, named


def _basis(n_known: int, n_injected: int) -> str:
    if n_known >= ENOUGH_KNOWN:
        return f"{n_known} known bad images"
    injected = f"{n_injected} good images with injected defects"
    return f"{n_known} known bad images and {injected}" if n_known else injected


def _lines(best: Scored, runner_up: Scored | None, facts: dict[str, Any]) -> list[str]:
    lines = [
        f"method normal: {best.scorer.name}; AUROC {best.auroc:.3f} out of fold, by "
        f"{facts['chosen_by']} ({facts['compared']} compared)"
    ]
    if runner_up is not None:
        lines.append(f"runner-up: {runner_up.scorer.name}, AUROC {runner_up.auroc:.3f}")
    return lines
