"""Train: a head on frozen CNN features or the whole network, and one ONNX graph of both.

Reads in three steps: gather the material, fit by one method or another, write the bundle.
"""

from __future__ import annotations

import copy
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

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
from pipeline.errors import TrainingError, choices
from pipeline.files import read_model, write_json, write_model
from pipeline.imaging.quality import measure, reference
from pipeline.plugins import Strict
from pipeline.stages import Report, progress, run_stage
from pipeline.training import architectures, extraction, finetune, given_split, probe
from pipeline.training.augmentation import Augmenter, oversampling
from pipeline.training.augmentation.synthetic import FOLDER, TrainingImages
from pipeline.training.export import export, join, parity
from pipeline.training.finetune import Examples, Finetune, HeldOut, TrainerSettings
from pipeline.training.network import Features, KernelHead, LinearHead, Network

PARITY_IMAGES = 16
WORK = Path(".cache/training")  # checkpoints: outside what DVC deletes and keeps


class Config(Strict):
    """`conf/<recipe>/train.yaml`."""

    method: Literal["probe", "finetune", "auto"] = Field(
        "probe",
        description="probe: frozen features and a trained head; seconds on a CPU. finetune: the "
        "whole network, from that head on; for a GPU or a patient CPU. auto: probe on a CPU, on a "
        "GPU both, and what is better on validation parts.",
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
    finetune: Finetune = Field(default_factory=Finetune, description="Fine-tuning.")
    trainer: TrainerSettings = Field(
        default_factory=TrainerSettings, description="Where and how fine-tuning computes."
    )
    seed: int = Field(0, ge=0, description="The same seed gives the same weights.")

    @field_validator("architecture")
    @classmethod
    def _is_known(cls, name: str) -> str:
        known = architectures.architectures()
        if name not in known:
            raise ValueError(f"unknown; {choices(name, known)}")
        return name


@dataclass(frozen=True)
class _Material:
    """What a training starts from; `targets` and `images` have the same order."""

    stored: Shards
    taxonomy: Taxonomy
    augmenter: Augmenter
    wish: oversampling.Oversample
    backbone: architectures.Backbone
    features: Features
    images: TrainingImages
    targets: npt.NDArray[np.float32]
    held: HeldOut | None

    @property
    def index(self) -> pd.DataFrame:
        """Of the training images that a camera took."""
        return self.images.index.iloc[: self.images.n_real]


@dataclass(frozen=True)
class _Frozen:
    """Features of the frozen network: `values` float32 F,D, of the images `image_of`, F."""

    graph: Path
    values: npt.NDArray[np.float32]
    image_of: npt.NDArray[np.intp]
    extra: npt.NDArray[np.intp]


@dataclass(frozen=True)
class _Trained:
    """A trained network and what is to be said of it."""

    method: Literal["probe", "finetune"]
    network: Network
    history: pd.DataFrame
    lines: list[str]
    facts: dict[str, Any]


def run(config: Config, source: Path, out: Path, work: Path | None = None) -> Report:
    """Write bundle/ (not yet sealed), weights.safetensors, history.csv and report.json.

    Args:
        config: the method and its settings.
        source: the recipe's data folder; `ingest/`, `preprocess/` and `augment/` are read.
        out: an empty folder.
        work: for what a killed training leaves to the next; without, that starts afresh.

    Raises:
        TrainingError: no such architecture or weights, one class only, no convergence, no parity
            with torch.
    """
    if work is None:
        with tempfile.TemporaryDirectory() as passing:
            return run(config, source, out, Path(passing))
    material = _gather(config, source)
    bundle = out / "bundle"
    bundle.mkdir()
    try:
        with finetune.alone():
            frozen = _frozen(config, material, out / "features.onnx")
        trained = _fit(config, material, frozen, work)
    except BaseException:
        finetune.announce_failure(work)
        raise
    if trained.method == "probe":
        _join(trained.network, frozen, out, bundle / MODEL)
        trained.lines.insert(0, _out_of_fold(config, material, frozen, out))
    else:
        outputs = ["logits", "embedding"]
        export(trained.network, material.stored[0], "image", outputs, bundle / MODEL)
    report = _write(config, material, frozen, trained, source, out)
    frozen.graph.unlink()
    finetune.forget(work)
    return report


def follow(config: Config, source: Path, out: Path, work: Path) -> Report:
    """Join in the fine-tuning of a leader that does all the rest; nothing is written.

    Raises:
        TrainingError: the leader has stopped, or what `run` raises.
    """
    if _tunes(config):
        material = _gather(config, source)
        if config.method == "finetune" or material.held is not None:
            _tune(config, material, finetune.receive(work), work)
    return Report([])


def _gather(config: Config, source: Path) -> _Material:
    stored = Shards(source / "preprocess")
    taxonomy = read_model(source / "ingest" / "taxonomy.json", Taxonomy)
    images = TrainingImages(stored, stored.training, Shards(source / "augment" / FOLDER))
    classes = images.index["label"].unique().tolist()
    if len(classes) < 2:
        there = f'all {len(images)} training images are "{classes[0]}"' if classes else "no image"
        raise TrainingError(
            f"training needs images of two classes at least, {source.name} has {there}; add images "
            f"of {' or '.join(n for n in taxonomy.names if n not in classes)}, or look at the "
            "labels and the split that ingest reports"
        )
    backbone = architectures.build(config.architecture, config.weights, config.seed)
    features = Features(backbone, stored.spec.shape[:2], config.scales)
    pretrained = backbone.weights != "none"
    if _tunes(config) and not config.finetune.freezes_batch_norm(
        len(images), pretrained=pretrained
    ):
        finetune.settle_batch_norm(features, images, len(images))
    return _Material(
        stored=stored,
        taxonomy=taxonomy,
        augmenter=Augmenter.read(source / "augment" / "policy.json"),
        wish=oversampling.read(source / "augment"),
        backbone=backbone,
        features=features,
        images=images,
        targets=soft_targets(images.index, taxonomy, config.soft_labels),
        held=_held_out(config, stored, taxonomy),
    )


def _held_out(config: Config, stored: Shards, taxonomy: Taxonomy) -> HeldOut | None:
    rows = np.flatnonzero((stored.index["split"] == "val") & stored.index["found"])
    if not len(rows):
        return None
    index = stored.index.iloc[rows]
    index = index.assign(label=index["part_label"])  # of several tiles the worst speaks for it
    return HeldOut(
        images=stored,
        rows=rows,
        ids=index["sample_id"].to_numpy(),
        targets=soft_targets(index, taxonomy, config.soft_labels),
        labels=np.array([taxonomy.names.index(label) for label in index["label"]]),
        taxonomy=taxonomy,
    )


def _frozen(config: Config, its: _Material, graph: Path) -> _Frozen:
    export(its.features, its.stored[0], "image", ["features"], graph)
    labels = its.images.index["label"].tolist()
    extra = oversampling.extra_views(labels, config.views, its.wish)
    batches = extraction.plan(np.arange(len(its.images)), config.views, extra)
    computed = extraction.extract(graph, its.images, its.augmenter, batches, config.seed)
    values = np.concatenate(list(progress(computed, "computing features", total=len(batches))))
    return _Frozen(graph, values, np.concatenate([batch.rows for batch in batches]), extra)


def _fit(config: Config, its: _Material, frozen: _Frozen, work: Path) -> _Trained:
    if config.method == "finetune":
        return _finetune(config, its, frozen, work)
    trained = _probe(config, its, frozen)
    if config.method == "probe":
        return trained
    if its.held is None or not _tunes(config):
        why = "no validation parts could compare" if _tunes(config) else "there is no GPU"
        trained.lines.append(f"method auto: the probe, since {why}")
        return trained
    tuned = _finetune(config, its, frozen, work)
    losses = {
        "probe": _probe_log_loss(config, its, trained.network, frozen),
        "finetune": float(tuned.facts["val_log_loss"]),
    }
    if losses["finetune"] < losses["probe"]:
        trained = tuned
    trained.facts["val_log_losses"] = losses
    trained.lines.append(
        f"method auto: {trained.method}; log loss on validation parts: probe "
        f"{losses['probe']:.4f}, finetune {losses['finetune']:.4f}"
    )
    return trained


def _tunes(config: Config) -> bool:
    """Does the method fine-tune here?"""
    wanted = config.method == "auto" and finetune.on_gpu(config.trainer)
    return wanted or config.method == "finetune"


def _probe(config: Config, its: _Material, frozen: _Frozen) -> _Trained:
    with finetune.alone():
        head, losses = probe.fit(
            frozen.values, its.targets[frozen.image_of], config.head, config.seed
        )
    return _Trained(
        method="probe",
        network=Network(its.features, head),
        history=pd.DataFrame({"epoch": range(1, len(losses) + 1), "loss": losses}),
        lines=[],
        facts={"n_features": int(frozen.values.shape[1])},
    )


def _probe_log_loss(config: Config, its: _Material, network: Network, frozen: _Frozen) -> float:
    assert its.held is not None
    batches = extraction.plan(its.held.rows, 0)
    computed = extraction.extract(frozen.graph, its.stored, its.augmenter, batches, config.seed)
    assert isinstance(network.head, KernelHead)
    chances = probe.predict(network.head, np.concatenate(list(computed)))
    return its.held.figures(np.log(np.maximum(chances, 1e-12))).log_loss


def _finetune(config: Config, its: _Material, frozen: _Frozen, work: Path) -> _Trained:
    with finetune.alone():
        targets = its.targets[frozen.image_of]
        head = finetune.linear_head(frozen.values, targets, config.head, config.seed)
    finetune.hand_over(head, work)
    network, tuned = _tune(config, its, head, work)
    lines = [
        f"fine-tuned {len(tuned.history)} epochs, after epoch {tuned.epoch} the weights were best"
        if its.held is not None
        else f"fine-tuned {tuned.epoch} epochs; no validation parts: the last epoch is taken"
    ]
    facts: dict[str, Any] = {"n_features": int(frozen.values.shape[1]), "epoch": tuned.epoch}
    if tuned.figures is not None and tuned.start is not None:
        best = tuned.figures
        lines.append(
            f"validation log loss {tuned.start.log_loss:.4f} at the start, {best.log_loss:.4f} "
            f"at best; accuracy {best.accuracy:.1%}, AUROC {best.auroc:.4f}"
        )
        facts |= {"val_log_loss": best.log_loss, "val_accuracy": best.accuracy}
        facts |= {"start_val_log_loss": tuned.start.log_loss}
    lines.append("no out-of-fold scores: evaluate chooses limits on validation parts alone")
    return _Trained("finetune", network, tuned.history, lines, facts)


def _tune(
    config: Config, its: _Material, head: LinearHead, work: Path
) -> tuple[Network, finetune.Tuned]:
    index = its.images.index
    names = index["sample_id"].astype(str)
    if (tile := index["tile"]).any():
        names += "#" + tile.astype(str)  # each tile its own dust and noise
    examples = Examples(
        images=its.images,
        names=names.tolist(),
        targets=its.targets,
        extra=oversampling.extra_views(index["label"].tolist(), 0, its.wish),
        augmenter=its.augmenter,
    )
    network = Network(copy.deepcopy(its.features), head)
    tuned = finetune.fit(
        network,
        examples,
        its.held,
        config.finetune,
        config.trainer,
        config.seed,
        work=work,
        pretrained=its.backbone.weights != "none",
    )
    return network, tuned


def _out_of_fold(config: Config, its: _Material, frozen: _Frozen, out: Path) -> str:
    folds = its.index["fold"].to_numpy()
    n_folds = int(folds.max()) + 1
    if not n_folds:
        return "no out-of-fold scores: ingest made no folds"
    groups = its.index["group"].tolist()
    with finetune.alone():
        unseen = probe.out_of_fold(
            frozen.values,
            frozen.image_of,
            its.targets,
            folds,
            config.head,
            config.seed,
            groups,
            its.images.kin,
        )
    ids = its.index["sample_id"].to_numpy()
    tiles = probe.worst_tiles(ids, unseen, its.taxonomy)
    names = its.taxonomy.names
    scores.write(out / scores.OUT_OF_FOLD, ids[tiles].tolist(), unseen[tiles], names)
    return f"{n_folds} folds out of fold"


def _join(network: Network, frozen: _Frozen, out: Path, path: Path) -> None:
    tail = out / "head.onnx"
    outputs = ["logits", "embedding"]
    export(network.head, frozen.values[0], "features", outputs, tail)
    join(frozen.graph, tail, outputs, path)
    tail.unlink()


def _write(
    config: Config, its: _Material, frozen: _Frozen, trained: _Trained, source: Path, out: Path
) -> Report:
    bundle, stored, rows = out / "bundle", its.stored, its.stored.training
    naive = None
    if given_split.replaced(stored.index):
        with finetune.alone():
            naive = _naive(config, its, frozen.graph)
        if naive is not None:
            write_json(out / scores.GIVEN_SPLIT, asdict(naive))
    sample = stored.stack(rows[:: max(1, len(rows) // PARITY_IMAGES)])
    network = trained.network.eval()
    difference = parity(network, bundle / MODEL, sample)
    save_file(
        {k: v.contiguous() for k, v in network.state_dict().items()}, out / "weights.safetensors"
    )
    write_model(bundle / "preprocess.json", stored.spec)
    for name in stored.spec.references:
        shutil.copy(source / "preprocess" / reference_file(name), bundle)
    write_model(bundle / "taxonomy.json", its.taxonomy)
    write_model(bundle / "reference.json", reference([measure(stored[int(i)]) for i in rows]))
    n_parts = int(its.index["sample_id"].nunique())
    provenance = Provenance(
        recipe=source.name,
        architecture=config.architecture,
        method=trained.method,
        weights=its.backbone.weights,
        n_train=n_parts,
    )
    write_model(bundle / "provenance.json", provenance)
    trained.history.to_csv(out / "history.csv", index=False)
    loss = trained.history["loss"]
    made, extra = len(its.images) - its.images.n_real, int(frozen.extra.sum())
    report = {
        "architecture": config.architecture,
        "method": trained.method,
        "weights": its.backbone.weights,
        "n_train": n_parts,
        "n_synthetic": made,
        "n_extra_views": extra,
        **trained.facts,
        "parity_max_relative": difference,
        "loss": float(loss.iloc[-1]),
    }
    write_json(out / "report.json", report)
    return Report(
        [
            f"{config.architecture} ({its.backbone.weights} weights), {n_parts} parts"
            f"{f' in {stored.spec.n_tiles} tiles' if stored.spec.tiles else ''}"
            f"{f' and {made} synthetic' if made else ''} x {1 + config.views} views"
            f"{f' and {extra} of rare classes' if extra else ''}, "
            f"{frozen.values.shape[1]} features",
            *trained.lines,
            f"loss {loss.iloc[0]:.3f} to {loss.iloc[-1]:.3f}; "
            f"ONNX equals torch within {difference:.0e}",
            *([f"accuracy on the given, leaky split: {naive.accuracy:.1%}"] if naive else []),
        ]
    )


def _naive(config: Config, its: _Material, graph: Path) -> given_split.Naive | None:
    """What the probe would say on the data set's own split, without augmented views."""
    found = np.flatnonzero(its.stored.index["found"])
    batches = extraction.plan(found, 0)
    computed = extraction.extract(graph, its.stored, its.augmenter, batches, config.seed)
    shown = progress(computed, "computing features for the given split", total=len(batches))
    index = its.stored.index.iloc[found]
    targets = soft_targets(index, its.taxonomy, config.soft_labels)
    return given_split.judge(
        np.concatenate(list(shown)), index, targets, its.taxonomy, config.head, config.seed
    )


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
    """`python -m pipeline.stages.train RECIPE`, also under torchrun."""
    leads = finetune.is_leader()
    act = run if leads else follow
    run_stage(
        "train",
        Config,
        lambda config, source, out: act(config, source, out, WORK / source.name),
        argv,
        leads=leads,
    )


if __name__ == "__main__":
    main()
