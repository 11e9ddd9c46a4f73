"""Train: frozen CNN features, a head trained on them, and one ONNX graph of both."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, field_validator
from safetensors.torch import save_file

from pipeline.contracts.bundle import MODEL, Provenance
from pipeline.contracts.spec import reference_file
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets import scores
from pipeline.datasets.shards import Shards
from pipeline.errors import choices
from pipeline.files import read_model, write_json, write_model
from pipeline.imaging.quality import measure, reference
from pipeline.plugins import Strict
from pipeline.stages import Report, progress, run_stage
from pipeline.training import architectures, extraction, given_split, probe
from pipeline.training.augmentation import Augmenter, oversampling
from pipeline.training.augmentation.synthetic import FOLDER, TrainingImages
from pipeline.training.export import export, join, parity
from pipeline.training.feature_cache import FeatureCache
from pipeline.training.network import Features, Network

PARITY_IMAGES = 16


class Config(Strict):
    """`conf/<recipe>/train.yaml`."""

    method: Literal["probe"] = Field(
        "probe", description="probe: frozen features and a trained head; seconds on a CPU."
    )
    architecture: str = Field(
        "tf_efficientnet_lite0",
        description="A network of pipeline/training/architectures/.",
    )
    weights: Literal["auto", "packaged", "hub", "none"] = Field(
        "auto", description="auto: those a package ships, else the hub; none: a random start."
    )
    scales: tuple[Annotated[float, Field(gt=0, le=4)], ...] = Field(
        (1.0,), min_length=1, description="Sizes at which the network sees the image, as shares."
    )
    views: int = Field(1, ge=0, le=16, description="Augmented views of each training image.")
    soft_labels: float = Field(
        0.0, ge=0, le=1, description="Weight of the annotators' belief against the hard label."
    )
    head: probe.Head = Field(default_factory=probe.Head, description="The trained head.")
    seed: int = Field(0, ge=0, description="The same seed gives the same weights.")

    @field_validator("architecture")
    @classmethod
    def _is_known(cls, name: str) -> str:
        known = architectures.architectures()
        if name not in known:
            raise ValueError(f"unknown; {choices(name, known)}")
        return name


def run(config: Config, source: Path, out: Path, cache: Path | None = None) -> Report:
    """Write bundle/ (not yet sealed), weights.safetensors, history.csv and report.json.

    Args:
        config: the method and its settings.
        source: the recipe's data folder; `ingest/`, `preprocess/` and `augment/` are read.
        out: an empty folder.
        cache: a file that keeps the features, so that they are not computed again.

    Raises:
        TrainingError: no such architecture or weights, no convergence, no parity with torch.
    """
    stored = Shards(source / "preprocess")
    taxonomy = read_model(source / "ingest" / "taxonomy.json", Taxonomy)
    rows = stored.training
    backbone = architectures.build(config.architecture, config.weights, config.seed)
    features = Features(backbone, stored.spec.shape[:2], config.scales)
    augmenter = Augmenter.read(source / "augment" / "policy.json")

    bundle = out / "bundle"
    bundle.mkdir()
    graph = out / "features.onnx"
    export(features, stored[0], "image", ["features"], graph)
    images = TrainingImages(stored, rows, Shards(source / "augment" / FOLDER))
    wish = oversampling.read(source / "augment")
    extra = oversampling.extra_views(images.index["label"].tolist(), config.views, wish)
    batches = extraction.plan(np.arange(len(images)), config.views, extra)
    image_of = np.concatenate([batch.rows for batch in batches])
    known = FeatureCache(cache) if cache else None
    values = extraction.extract(graph, images, augmenter, batches, config.seed, known, _watch)
    index = images.index.iloc[: images.n_real]
    targets = soft_targets(images.index, taxonomy, config.soft_labels)
    head, history = probe.fit(values, targets[image_of], config.head, config.seed)
    folds = index["fold"].to_numpy()
    n_folds = int(folds.max()) + 1
    if n_folds:
        groups = index["group"].tolist()
        unseen = probe.out_of_fold(
            values, image_of, targets, folds, config.head, config.seed, groups, images.kin
        )
        ids = index["sample_id"].to_numpy()
        tiles = probe.worst_tiles(ids, unseen, taxonomy)
        scores.write(out / scores.OUT_OF_FOLD, ids[tiles].tolist(), unseen[tiles], taxonomy.names)
    naive = None
    if given_split.replaced(stored.index):
        naive = _naive(config, stored, taxonomy, graph, augmenter, known)
        if naive is not None:
            write_json(out / scores.GIVEN_SPLIT, asdict(naive))

    tail = out / "head.onnx"
    export(head, values[0], "features", ["logits", "embedding"], tail)
    join(graph, tail, ["logits", "embedding"], bundle / MODEL)
    graph.unlink()
    tail.unlink()
    network = Network(features, head).eval()
    sample = stored.stack(rows[:: max(1, len(rows) // PARITY_IMAGES)])
    difference = parity(network, bundle / MODEL, sample)
    save_file(
        {k: v.contiguous() for k, v in network.state_dict().items()}, out / "weights.safetensors"
    )
    write_model(bundle / "preprocess.json", stored.spec)
    for name in stored.spec.references:
        shutil.copy(source / "preprocess" / reference_file(name), bundle)
    write_model(bundle / "taxonomy.json", taxonomy)
    write_model(bundle / "reference.json", reference([measure(stored[int(i)]) for i in rows]))
    n_parts = int(index["sample_id"].nunique())
    provenance = Provenance(
        recipe=source.name,
        architecture=config.architecture,
        method=config.method,
        weights=backbone.weights,
        n_train=n_parts,
    )
    write_model(bundle / "provenance.json", provenance)
    epochs = range(1, len(history) + 1)
    pd.DataFrame({"epoch": epochs, "loss": history}).to_csv(out / "history.csv", index=False)
    made = len(images) - images.n_real
    report = {
        "architecture": config.architecture,
        "weights": backbone.weights,
        "n_train": n_parts,
        "n_synthetic": made,
        "n_extra_views": int(extra.sum()),
        "n_features": int(values.shape[1]),
        "parity_max_relative": difference,
        "loss": history[-1],
    }
    write_json(out / "report.json", report)
    return Report(
        [
            f"{config.architecture} ({backbone.weights} weights), {n_parts} parts"
            f"{f' in {stored.spec.n_tiles} tiles' if stored.spec.tiles else ''}"
            f"{f' and {made} synthetic' if made else ''} x {1 + config.views} views"
            f"{f' and {extra.sum()} of rare classes' if extra.any() else ''}, "
            f"{values.shape[1]} features"
            f"{f', {known.found} of {known.asked} rows from the cache' if known else ''}",
            f"{n_folds} folds out of fold"
            if n_folds
            else "no out-of-fold scores: ingest made no folds",
            f"loss {history[0]:.3f} to {history[-1]:.3f}; "
            f"ONNX equals torch within {difference:.0e}",
            *([f"accuracy on the given, leaky split: {naive.accuracy:.1%}"] if naive else []),
        ]
    )


def _naive(
    config: Config,
    stored: Shards,
    taxonomy: Taxonomy,
    graph: Path,
    augmenter: Augmenter,
    known: FeatureCache | None,
) -> given_split.Naive | None:
    """What the same method would say on the data set's own split, without augmented views."""
    found = np.flatnonzero(stored.index["found"])
    batches = extraction.plan(found, 0)
    values = extraction.extract(graph, stored, augmenter, batches, config.seed, known, _watch)
    index = stored.index.iloc[found]
    targets = soft_targets(index, taxonomy, config.soft_labels)
    return given_split.judge(values, index, targets, taxonomy, config.head, config.seed)


def _watch(
    vectors: Iterable[extraction.Floats], total: int, found: int
) -> Iterator[extraction.Floats]:
    return progress(vectors, "computing features", total, done=found)


def soft_targets(index: pd.DataFrame, taxonomy: Taxonomy, weight: float) -> npt.NDArray[np.float32]:
    """Targets N,K: the class, mixed with the annotators' belief where there is one.

    The belief that a part is defective is spread over classes only where the taxonomy has two,
    one passing; elsewhere it does not say which class.
    """
    labels = np.array([taxonomy.names.index(label) for label in index["label"]])
    targets: npt.NDArray[np.float32] = np.eye(len(taxonomy.names), dtype=np.float32)[labels]
    if len(taxonomy.names) == 2 and sum(taxonomy.passing) == 1:
        belief = index["defect_probability"].to_numpy(np.float32)[:, None]
        soft = np.where(taxonomy.passing, 1 - belief, belief)
        known = ~np.isnan(belief[:, 0])
        targets[known] = (1 - weight) * targets[known] + weight * soft[known]
    return targets


def main(argv: Sequence[str] = sys.argv) -> None:
    """`python -m pipeline.stages.train RECIPE`."""

    def stage(config: Config, data: Path, out: Path) -> Report:
        return run(config, data, out, Path(".cache", "features", f"{data.name}.sqlite"))

    run_stage("train", Config, stage, argv)


if __name__ == "__main__":
    main()
