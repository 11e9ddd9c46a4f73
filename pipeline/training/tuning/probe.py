"""The probe: a plain head on backbone features, the same for each trial, judged out of fold."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from pipeline.datasets.manifest import Manifest
from pipeline.datasets.shard_writer import ShardWriter
from pipeline.datasets.shards import Shards
from pipeline.datasets.splits import assign_folds
from pipeline.errors import DataError
from pipeline.imaging.prepare import Preparation
from pipeline.inference.decide import defect_scores
from pipeline.inference.predictor import session
from pipeline.training import Floats
from pipeline.training.augmentation import Augmenter, Policy
from pipeline.training.features import backbones as backbone_room
from pipeline.training.features.backbone_features import FeatureExtractor
from pipeline.training.features.backbones import BackboneSpec
from pipeline.training.training_data import classes_of
from pipeline.training.tuning.figures import Scores
from pipeline.training.tuning.trials import Trial

FOLDS = 5
MOST_PARTS = 1000
KERNEL_WIDTH, STRENGTHS = 0.3, (1.0, 0.1, 0.01)
TIMED = 15  # frames, after some to warm up
WARM_UP = 3

T = TypeVar("T")
Rows = npt.NDArray[np.intp]
# Wraps an iteration to show progress: what is done, the items, how many there are, how many found.
Watch = Callable[[str, Iterable[T], int, int], Iterable[T]]


@dataclass(frozen=True)
class MeasuredTrial:
    """What the probe finds of a trial.

    Attributes:
        scores: out-of-fold probabilities of the parts.
        ms: median time from a decoded frame to its features on this machine, in milliseconds.
    """

    trial: Trial
    scores: Scores
    ms: float


def training_parts(data: Manifest, most: int = MOST_PARTS, seed: int = 0) -> Manifest:
    """The training images of a data set, whole groups drawn where there are more than `most`.

    Raises:
        DataError: they are of one class, or a class is of one group only.
    """
    table = data.table[data.table["split"] == "train"]
    if len(table) > most:
        groups = np.random.default_rng(seed).permutation(table["group"].unique())
        sizes = table["group"].value_counts()[groups].to_numpy()
        kept = groups[: max(1, int((np.cumsum(sizes) <= most).sum()))]
        table = table[table["group"].isin(kept)]
    few = table.groupby("label")["group"].nunique()
    if len(few) < 2 or few.min() < 2:
        raise DataError(
            f"the probe needs training images of two classes, of two groups each; there are "
            f"{', '.join(f'{n} group(s) of {name}' for name, n in few.items()) or 'none'}: add "
            "parts, or define smaller groups in ingest.yaml"
        )
    return replace(data, table=table.reset_index(drop=True))


class Probe:
    """Measures trials on the training images of one recipe."""

    def __init__(
        self,
        data: Manifest,
        ingested: Path,
        networks: Sequence[BackboneSpec],
        seed: int,
        cache: Path | None,
        work: Path,
        watch: Watch[object],
    ) -> None:
        """Take what is the same for all trials.

        Args:
            data: the parts, as `training_parts` gives them.
            ingested: the folder of the manifest and of the pictures that the spec names.
            networks: the recipe's; a trial's scales are of the first.
            seed: of weights that start at random.
            cache: a file that keeps features; the recipe's own, so that training finds them.
            work: a folder for prepared pictures, which are removed after each trial.
            watch: shows progress.
        """
        self._data, self._ingested, self._networks = data, ingested, networks
        self._seed, self._cache, self._work, self._watch = seed, cache, work, watch

    def measure(self, trial: Trial) -> MeasuredTrial:
        """Prepare the pictures, compute features, judge each part by heads without its group.

        Raises:
            DataError: the spec does not fit the pictures.
            TrainingError: the prepared pictures are too small for the network.
        """
        self._work.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._work) as folder:
            home = Path(folder)
            preparation = Preparation.read(trial.spec, self._ingested)
            stored = self._prepared(trial, preparation, home)
            graph = home / "features.onnx"
            values = self._features(trial, stored, graph)
            scores = _judged(values, stored, self._data)
            return MeasuredTrial(trial, scores, self._timed(preparation, graph))

    def _prepared(self, trial: Trial, preparation: Preparation, home: Path) -> Shards:
        job = ShardWriter(self._data, preparation, self._ingested, home)
        n = len(self._data.table)
        for _ in self._watch(f"{trial.name}: preparing images", job.work(), n, 0):
            pass
        job.write_index()
        return Shards(home)

    def _features(self, trial: Trial, stored: Shards, graph: Path) -> Floats:
        first, *beside = self._networks
        networks = [first.model_copy(update={"scales": trial.scales}), *beside]
        backbones = backbone_room.build(networks, stored.spec.shape[:2], self._seed)

        def watch(vectors: Iterable[Floats], total: int, found: int) -> Iterator[Floats]:
            what = f"{trial.name}: computing features"
            yield from self._watch(what, vectors, total, found)  # type: ignore[misc]

        rows = np.arange(len(stored))
        extractor = FeatureExtractor(
            *(backbones, Augmenter.of(Policy.model_validate({})), self._seed),
            sample=stored.stack(rows[:: max(1, len(rows) // 4)][:4]),
            graph=graph,
            cache=self._cache,
            watch=watch,
        )
        return extractor.as_they_are(stored, rows)

    def _timed(self, preparation: Preparation, graph: Path) -> float:
        """Median of some frames, one after the other, as at a station."""
        run = session(graph)
        spent = []
        n = len(self._data.table)
        for i in range(WARM_UP + TIMED):
            frame = self._data.pixels(i * n // (WARM_UP + TIMED))
            started = time.perf_counter()
            run.run(["features"], {"image": preparation(frame).images})
            spent.append(1e3 * (time.perf_counter() - started))
        return statistics.median(spent[WARM_UP:])


def _judged(values: Floats, stored: Shards, data: Manifest) -> Scores:
    """Each part by a head that has not seen its group; of several tiles the worst speaks."""
    found = np.flatnonzero(stored.index["found"])
    index, x = stored.index.iloc[found].reset_index(drop=True), values[found]
    taxonomy = data.taxonomy
    labels = classes_of(index, taxonomy)
    parts = index.drop_duplicates("sample_id")
    own, groups = parts["part_label"].tolist(), parts["group"].tolist()
    fold_of = dict(zip(parts["sample_id"], assign_folds(own, groups, FOLDS, seed=0), strict=True))
    folds = index["sample_id"].map(fold_of).to_numpy()
    probabilities = out_of_fold(x, labels, folds, len(taxonomy.names))
    worst = (
        index.assign(score=defect_scores(probabilities, taxonomy))
        .groupby("sample_id", sort=False)["score"]
        .idxmax()
        .to_numpy()
    )
    part_labels = index.assign(label=index["part_label"]).iloc[worst]
    return Scores(
        labels=classes_of(part_labels, taxonomy),
        probabilities=probabilities[worst],
        groups=part_labels["group"].to_numpy(str),
        passing=taxonomy.passing,
    )


def out_of_fold(values: Floats, labels: Rows, folds: Rows, n_classes: int) -> Floats:
    """Scores N,K by heads that have not seen the fold of a row: balanced kernel ridge regression.

    Of `STRENGTHS` the one whose scores come closest to the labels out of fold. In closed form: a
    trial takes seconds beside its features. Features are standardised over all rows, labels unseen.

    Args:
        values: features, float32 N,D.
        labels: int N.
        folds: of each row.
        n_classes: K.

    Returns:
        float32 N,K, 0 to 1, rows sum to 1; meant for ranks and the largest, not as probabilities.
    """
    kernel = _kernel(values)
    targets = np.eye(n_classes, dtype=np.float32)[labels]
    weights = (1 / np.bincount(labels, minlength=n_classes).clip(1))[labels]
    best, least = np.zeros_like(targets), np.inf
    for strength in STRENGTHS:
        found = np.empty_like(targets)
        for fold in np.unique(folds):
            known, judged = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            solved = _solved(kernel, known, labels[known], targets[known], strength)
            found[judged] = kernel[np.ix_(judged, known)] @ solved + 1 / n_classes
        misfit = float((weights * np.square(found - targets).sum(axis=1)).sum())
        if misfit < least:
            best, least = found, misfit
    shares = best.clip(1e-6, None)
    scores: Floats = shares / shares.sum(axis=1, keepdims=True)
    return scores


def _kernel(values: Floats) -> Floats:
    """Gaussian kernel N,N of standardised features; the mean distance of two rows is 2."""
    x = (values - values.mean(axis=0)) / (values.std(axis=0) + 1e-6) / np.sqrt(values.shape[1])
    product = x @ x.T
    square = np.diag(product)
    kernel: Floats = np.exp(-KERNEL_WIDTH * (square[:, None] + square[None] - 2 * product))
    return kernel


def _solved(kernel: Floats, known: Rows, labels: Rows, targets: Floats, strength: float) -> Floats:
    """Coefficients n,K; each class has the same weight in all."""
    count = np.bincount(labels, minlength=targets.shape[1])
    share = count[labels] * targets.shape[1] / len(labels)
    within = kernel[np.ix_(known, known)] + np.diag(strength * share).astype(np.float32)
    solved: Floats = cho_solve(cho_factor(within), targets - 1 / targets.shape[1])
    return solved
