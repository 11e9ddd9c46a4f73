"""Train: a head on backbone features or the whole network, and one ONNX graph of both."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import pipeline.training.normal as normal
from pipeline.contracts.bundle import MODEL, Provenance
from pipeline.contracts.spec import reference_file
from pipeline.datasets import manifest, scores
from pipeline.datasets.manifest_reader import read_manifest
from pipeline.datasets.shards import INDEX
from pipeline.files import cache_folder, sha256, write_json, write_model
from pipeline.imaging.quality import measure, reference
from pipeline.registry.connection import default_uri
from pipeline.registry.runs import UP_TO_TRAINING, settings
from pipeline.registry.store import Registry
from pipeline.registry.training_run import TrainingInfo
from pipeline.stages import Report, leave, progress, run_stage
from pipeline.training import Floats, distillation, finetune, leaky_baseline, methods, suspects
from pipeline.training.checkpoint import BackboneRecord, keep
from pipeline.training.distillation import Teacher
from pipeline.training.features.backbone_features import BackboneFeatures, FeatureExtractor
from pipeline.training.features.backbones import Backbones
from pipeline.training.heads import out_of_fold
from pipeline.training.normal import FittedNormal
from pipeline.training.settings import Settings
from pipeline.training.tracking import Tracker, Untracked, open_run, training_key
from pipeline.training.trained import Trained, write_fold_heads, write_graph
from pipeline.training.training_data import TrainingData, gather, soft_targets
from pipeline.training.tuning.larger import try_larger

Config = Settings


def run(
    config: Config,
    source: Path,
    out: Path,
    *,
    cache: Path | None = None,
    work: Path | None = None,
    tracker: Tracker | None = None,
    teacher: Teacher | None = None,
) -> Report:
    """Write bundle/ (not yet sealed), network.json with weights.safetensors, report.json and more.

    Args:
        config: the method and its settings.
        source: the recipe's data folder; `ingest/`, `preprocess/` and `augment/` are read.
        out: an empty folder.
        cache: a file that keeps features, so that they are not computed again.
        work: for what a killed training leaves to the next; without, that starts afresh.
        tracker: logs the training while it goes on.
        teacher: of the distillation, where `config.distill` is set.

    Raises:
        TrainingError: no such architecture or weights, one class, no convergence or parity.
    """
    tracker = Untracked() if tracker is None else tracker
    doubts: list[str] = []
    data = _gather(config, source, teacher, doubts)
    config, notes = _settled(config, data)
    backbones = methods.backbones_of(config, data)
    passing, bundle = out / ".passing", out / "bundle"
    work = passing / "work" if work is None else work
    bundle.mkdir()
    passing.mkdir()
    for sheet in sorted((source / "augment" / "classes").glob("*.png")):
        tracker.log_file(sheet, "samples")
    trained: Trained | FittedNormal
    extractor = features = None
    if config.method == "normal":
        with finetune.alone():
            given = (backbones.features, data, config.normal, config.seed, passing)
            trained = normal.fit(*given, _watch)
            difference = normal.write_graph(trained, data, bundle / MODEL)
        tracker.log_params(trained.params())
    else:
        with finetune.alone():
            graph = passing / "features.onnx"
            extractor = FeatureExtractor(
                *(backbones, data.augmenter, config.seed, data.sample()),
                *(graph, cache, _watch, config.features_device),
            )
            features = methods.features_of(data, extractor, config.views)
        trained = methods.train(config, data, backbones, extractor, features, work, tracker)
        difference = write_graph(trained, data, extractor, passing, bundle / MODEL)
    trained.facts["parity_max_relative"] = difference
    lines = [
        *notes,
        *_write_scores(config, data, trained, extractor, out, tracker),
        *_write_bundle(config, data, backbones, trained, source, out, teacher),
    ]
    trained.facts.update({"doubts": doubts} if doubts else {})
    trained.facts.update(try_larger(source, data.stored.spec, config, cache, passing, progress))
    trained.consulted.write(out / scores.CONSULTED)
    report = _write_report(config, data, backbones, features, trained, out)
    shutil.rmtree(passing)
    return Report([report, *trained.lines, *lines, *doubts])


def follow(config: Config, source: Path, work: Path, teacher: Teacher | None) -> Report:
    """Join in the fine-tuning of a leader that does all the rest; nothing is written.

    Raises:
        TrainingError: the leader has stopped, or what `run` raises.
    """
    if config.fine_tunes:
        data = _gather(config, source, teacher, [])
        config = _settled(config, data)[0]
        if config.fine_tunes and (config.method == "finetune" or data.held is not None):
            backbones = methods.backbones_of(config, data)
            methods.tune(
                *(data, backbones, finetune.receive(work)),
                *(config.finetune, config.trainer, config.seed),
                pretrained=config.pretrained,
                work=work,
                tracker=Untracked(),
                pooling=config.pooling,
            )
    return Report([])


def _gather(
    config: Config, source: Path, teacher: Teacher | None, doubts: list[str]
) -> TrainingData:
    """Read the data; what is doubtful about its teacher is added to `doubts`."""
    distill = config.distill
    if distill is None:
        return gather(source, config.soft_labels, good_only=config.good_only)
    assert teacher is not None, "config.distill names a teacher"
    ingested = read_manifest(source / "ingest")

    def distilled(ids: Sequence[str], targets: Floats) -> Floats:
        taught = distillation.teacher_targets(
            teacher.bundle,
            ingested,
            ids,
            ingested.taxonomy,
            distill.temperature,
            lambda answers: progress(answers, "asking the teacher", total=len(ids)),
        )
        table = sha256(source / "ingest" / manifest.TABLE)
        doubts.extend(distillation.refusals(taught))
        doubts.extend(distillation.doubts(teacher, source.name, table))
        return distillation.mix(targets, taught, distill.weight)

    return gather(source, config.soft_labels, distilled)


def _settled(config: Config, data: TrainingData) -> tuple[Config, list[str]]:
    few = normal.too_few(data) if config.method == "auto" else ""
    return (config.model_copy(update={"method": "normal"}), [few]) if few else (config, [])


def _watch(vectors: Iterable[Any], total: int, found: int) -> Iterator[Any]:
    return progress(vectors, "computing features", total, done=found)


def _write_scores(
    config: Config,
    data: TrainingData,
    trained: Trained | FittedNormal,
    extractor: FeatureExtractor | None,
    out: Path,
    tracker: Tracker,
) -> list[str]:
    """Write scores of parts by heads that had not seen them, and of a leaky given split."""
    lines = []
    if trained.out_of_fold is not None:
        unseen = trained.out_of_fold
        index = data.index.iloc[:: len(data.index) // len(unseen)]
        ids = index["sample_id"].to_numpy()
        if trained.method != "finetune":  # a fine-tuned network is not what gave these scores
            out_of_fold.write(out / scores.OUT_OF_FOLD, ids, unseen[None], data.taxonomy)
        if isinstance(trained, Trained):
            write_fold_heads(trained, data, out / scores.FOLD_HEADS)
        doubted = suspects.find(index, unseen, data.taxonomy)
        doubted.to_csv(out / suspects.FILE, index=False)
        tracker.log_file(out / suspects.FILE)
        if len(doubted):
            what = "good images look bad" if trained.method == "normal" else "labels look wrong"
            lines.append(f"{len(doubted)} {what}: {suspects.FILE}, the surest first")
    if leaky_baseline.replaced(data.stored.index) and trained.method == "probe" and extractor:
        with finetune.alone():
            baseline = _leaky_baseline(config, data, extractor, trained)
        if baseline is not None:
            write_json(out / scores.GIVEN_SPLIT, asdict(baseline))
            lines.append(f"accuracy on the given, leaky split: {baseline.accuracy:.1%}")
    return lines


def _leaky_baseline(
    config: Config, data: TrainingData, extractor: FeatureExtractor, trained: Trained
) -> leaky_baseline.LeakyBaseline | None:
    """Figures of the probe on the data set's own split, without augmented views."""
    found = np.flatnonzero(data.stored.index["found"])
    index = data.stored.index.iloc[found]
    targets = soft_targets(index, data.taxonomy, config.soft_labels)
    return leaky_baseline.measure(
        *(extractor.as_they_are(data.stored, found), index, targets, data.taxonomy),
        *(config.head, config.seed, trained.choice),
    )


def _write_bundle(
    config: Config,
    data: TrainingData,
    backbones: Backbones,
    trained: Trained | FittedNormal,
    source: Path,
    out: Path,
    teacher: Teacher | None,
) -> list[str]:
    bundle, stored, rows = out / "bundle", data.stored, data.stored.training
    specs = [BackboneRecord(architecture=s.architecture, scales=s.scales) for s in backbones.specs]
    if isinstance(trained, Trained):
        keep(out, trained.network, specs, stored.spec.shape[:2], trained.pooling)
    write_model(bundle / "preprocess.json", stored.spec)
    for name in stored.spec.references:
        shutil.copy(source / "preprocess" / reference_file(name), bundle)
    write_model(bundle / "taxonomy.json", data.taxonomy)
    write_model(bundle / "reference.json", reference([measure(stored[int(i)]) for i in rows]))
    provenance = Provenance(
        recipe=source.name,
        architecture=backbones.names,
        method=trained.method,
        weights=backbones.weights,
        n_train=int(data.index["sample_id"].nunique()),
        teacher=teacher.bundle.sha256 if teacher else "",
        pooling="" if trained.pooling is None else trained.pooling.name,
    )
    write_model(bundle / "provenance.json", provenance)
    trained.history.to_csv(out / "history.csv", index=False)
    loss, parity = trained.history["loss"], trained.facts["parity_max_relative"]
    what = "radius of the memory" if trained.method == "normal" else "loss"
    return [
        f"{what} {loss.iloc[0]:z.3f} to {loss.iloc[-1]:z.3f}; ONNX equals torch within {parity:.0e}"
    ]


def _write_report(
    config: Config,
    data: TrainingData,
    backbones: Backbones,
    features: BackboneFeatures | None,
    trained: Trained | FittedNormal,
    out: Path,
) -> str:
    n_parts = int(data.index["sample_id"].nunique())
    spec, made = data.stored.spec, len(data.images) - data.images.n_real
    extra = 0 if features is None else int(features.extra.sum())
    report = {
        "architecture": backbones.names,
        "method": trained.method,
        "weights": backbones.weights,
        "n_train": n_parts,
        "n_synthetic": made,
        "n_extra_views": extra,
        **trained.facts,
        "loss": float(trained.history["loss"].iloc[-1]),
    }
    write_json(out / "report.json", report)
    given = (
        f"{backbones.names}, weights {backbones.weights}; {n_parts} parts"
        f"{f' in {spec.n_tiles} tiles' if spec.tiles else ''}"
        f"{f' and {made} synthetic' if made else ''}"
    )
    if features is None:
        return f"{given}, {trained.facts['n_features']} features and the patches of each"
    n = len(features.values)
    return (
        f"{given} x {1 + config.views} views"
        f"{f' and {extra} of rare classes' if extra else ''}, "
        f"{features.values.shape[1]} features"
        f"{f', {features.found} of {n} from the cache' if features.found else ''}"
    )


def main(argv: Sequence[str] = sys.argv) -> None:
    """`python -m pipeline.stages.train RECIPE`, also under torchrun."""
    leads = finetune.is_leader()
    over: Path | None = None

    def stage(config: Config, source: Path, out: Path) -> Report:
        nonlocal over
        # Experiments of one recipe may run side by side: each has its own checkpoints.
        experiment = os.environ.get("DVC_EXP_NAME", "workspace")
        work = cache_folder("training") / source.name / experiment
        if leads:
            over = work if config.fine_tunes else None
            try:
                return _lead(config, source, out, work)
            except BaseException:
                finetune.announce_failure(work)
                raise
        return follow(config, source, work, _teacher(config, default_uri(Path.cwd())))

    run_stage("train", Config, stage, argv, leads=leads)
    if over is not None:
        finetune.forget(over)  # only now is the result in its place


def _lead(config: Config, source: Path, out: Path, work: Path) -> Report:
    uri = default_uri(Path.cwd())
    teacher = _teacher(config, uri)
    with _track(config, source, uri) as tracker:
        report = run(
            config,
            source,
            out,
            cache=cache_folder("features") / f"{source.name}.sqlite",
            work=work,
            tracker=tracker,
            teacher=teacher,
        )
        lost = tracker.finish(sha256(out / "bundle" / MODEL))
    return Report([*report.lines, *lost])


def _teacher(config: Config, uri: str) -> Teacher | None:
    if config.distill is None:
        return None
    return distillation.open_teacher(config.distill, Registry(uri), cache_folder("teachers"))


def _track(config: Config, source: Path, uri: str) -> Tracker:
    if not config.tracking:
        return Untracked()
    params = settings(Path("conf", source.name), UP_TO_TRAINING)
    tags = {"method": config.method, "architecture": config.architecture}
    if experiment := os.environ.get("DVC_EXP_NAME", ""):
        tags["dvc_exp_name"] = experiment
    inputs = (source / "preprocess" / INDEX, source / "augment" / "policy.json")
    key = training_key(source / "train", *map(str, params.items()), *map(sha256, inputs))
    return open_run(uri, TrainingInfo(source.name, key, params, tags, experiment))


if __name__ == "__main__":
    main()
    leave()
