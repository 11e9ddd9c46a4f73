"""Train: a head on frozen CNN features or the whole network, and one ONNX graph of both."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from pipeline.contracts.bundle import MODEL, Provenance
from pipeline.contracts.spec import reference_file
from pipeline.datasets import manifest, scores
from pipeline.datasets.shards import INDEX
from pipeline.files import cache_folder, sha256, write_json, write_model
from pipeline.imaging.quality import measure, reference
from pipeline.registry.connection import default_uri
from pipeline.registry.runs import UP_TO_TRAINING, settings
from pipeline.registry.store import Registry
from pipeline.registry.training_run import TrainingInfo
from pipeline.stages import Report, leave, progress, run_stage
from pipeline.training import distillation, finetune, leaky_baseline, methods, suspects
from pipeline.training.checkpoint import Eye, keep
from pipeline.training.distillation import Teacher
from pipeline.training.features.backbones import Extraction, Eyes, Frozen, eyes, tunes
from pipeline.training.features.extraction import Floats
from pipeline.training.heads import logistic
from pipeline.training.methods import Trained
from pipeline.training.settings import Settings
from pipeline.training.tracking import Tracker, Untracked, open_run, training_key
from pipeline.training.training_data import Material, gather, soft_targets

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
        tracker: told what goes on.
        teacher: learned from, where `config.distill` says so.

    Raises:
        TrainingError: no such architecture or weights, one class only, no convergence, no parity
            with torch.
    """
    tracker = Untracked() if tracker is None else tracker
    doubts: list[str] = []
    material = _gather(config, source, teacher, doubts)
    seen = eyes(config, material)
    passing, bundle = out / ".passing", out / "bundle"
    work = passing / "work" if work is None else work
    bundle.mkdir()
    passing.mkdir()
    for sheet in sorted((source / "augment" / "classes").glob("*.png")):
        tracker.log_file(sheet, "samples")
    with finetune.alone():
        graph = passing / "features.onnx"
        extraction = Extraction(config, material, seen, graph, cache, _watch)
        frozen = extraction.training()
    trained = methods.train(config, material, seen, extraction, frozen, work, tracker)
    difference = methods.write_graph(trained, material, extraction, passing, bundle / MODEL)
    trained.facts["parity_max_relative"] = difference
    lines = [
        *_write_judged(config, material, trained, extraction, out, tracker),
        *_write_bundle(config, material, seen, trained, source, out, teacher),
    ]
    if doubts:
        trained.facts["doubts"] = doubts
    trained.consulted.write(out / scores.CONSULTED)
    report = _write_report(config, material, seen, frozen, trained, out)
    shutil.rmtree(passing)
    return Report([report, *trained.lines, *lines, *doubts])


def follow(config: Config, source: Path, work: Path, teacher: Teacher | None) -> Report:
    """Join in the fine-tuning of a leader that does all the rest; nothing is written.

    Raises:
        TrainingError: the leader has stopped, or what `run` raises.
    """
    if tunes(config):
        material = _gather(config, source, teacher, [])
        if config.method == "finetune" or material.held is not None:
            seen = eyes(config, material)
            methods.tune(config, material, seen, finetune.receive(work), work, Untracked())
    return Report([])


def _gather(config: Config, source: Path, teacher: Teacher | None, doubts: list[str]) -> Material:
    """Read the material; what is doubtful about its teacher is added to `doubts`."""
    distill = config.distill
    if distill is None:
        return gather(source, config.soft_labels)
    assert teacher is not None, "config.distill names a teacher"
    data = manifest.read(source / "ingest")

    def teach(ids: Sequence[str], targets: Floats) -> Floats:
        taught = distillation.teacher_targets(
            teacher.bundle,
            data,
            ids,
            data.taxonomy,
            distill.temperature,
            lambda answers: progress(answers, "asking the teacher", total=len(ids)),
        )
        table = sha256(source / "ingest" / manifest.TABLE)
        doubts.extend(distillation.refusals(taught))
        doubts.extend(distillation.doubts(teacher, source.name, table))
        return distillation.mix(targets, taught, distill.weight)

    return gather(source, config.soft_labels, teach)


def _watch(vectors: Iterable[Floats], total: int, found: int) -> Iterator[Floats]:
    return progress(vectors, "computing features", total, done=found)


def _write_judged(
    config: Config,
    its: Material,
    trained: Trained,
    extraction: Extraction,
    out: Path,
    tracker: Tracker,
) -> list[str]:
    """What heads said of parts that they had not seen, and of the given split where it leaks."""
    lines = []
    if trained.unseen is not None:
        ids, unseen = its.index["sample_id"].to_numpy(), trained.unseen
        if trained.method == "probe":  # a fine-tuned network is not what gave these scores
            tiles = logistic.worst_tiles(ids, unseen, its.taxonomy)
            names = its.taxonomy.names
            scores.write(out / scores.OUT_OF_FOLD, ids[tiles].tolist(), unseen[tiles], names)
        doubted = suspects.find(its.index, unseen, its.taxonomy)
        doubted.to_csv(out / suspects.FILE, index=False)
        tracker.log_file(out / suspects.FILE)
        if len(doubted):
            lines.append(f"{len(doubted)} labels look wrong: {suspects.FILE}, the surest first")
    if leaky_baseline.replaced(its.stored.index) and trained.method == "probe":
        with finetune.alone():
            naive = _naive(config, its, extraction, trained.facts.get("l2"))
        if naive is not None:
            write_json(out / scores.GIVEN_SPLIT, asdict(naive))
            lines.append(f"accuracy on the given, leaky split: {naive.accuracy:.1%}")
    return lines


def _naive(
    config: Config, its: Material, extraction: Extraction, l2: float | None
) -> leaky_baseline.Naive | None:
    """What the probe would say on the data set's own split, without augmented views."""
    found = np.flatnonzero(its.stored.index["found"])
    index = its.stored.index.iloc[found]
    targets = soft_targets(index, its.taxonomy, config.soft_labels)
    values = extraction.as_they_are(found)
    return leaky_baseline.judge(values, index, targets, its.taxonomy, config.head, config.seed, l2)


def _write_bundle(
    config: Config,
    its: Material,
    seen: Eyes,
    trained: Trained,
    source: Path,
    out: Path,
    teacher: Teacher | None,
) -> list[str]:
    bundle, stored, rows = out / "bundle", its.stored, its.stored.training
    sees = [Eye(architecture=e.architecture, scales=e.scales) for e in config.networks]
    keep(out, trained.network, sees, stored.spec.shape[:2])
    write_model(bundle / "preprocess.json", stored.spec)
    for name in stored.spec.references:
        shutil.copy(source / "preprocess" / reference_file(name), bundle)
    write_model(bundle / "taxonomy.json", its.taxonomy)
    write_model(bundle / "reference.json", reference([measure(stored[int(i)]) for i in rows]))
    provenance = Provenance(
        recipe=source.name,
        architecture=seen.names,
        method=trained.method,
        weights=seen.weights,
        n_train=int(its.index["sample_id"].nunique()),
        teacher=teacher.bundle.sha256 if teacher else "",
    )
    write_model(bundle / "provenance.json", provenance)
    trained.history.to_csv(out / "history.csv", index=False)
    loss, parity = trained.history["loss"], trained.facts["parity_max_relative"]
    return [
        f"loss {loss.iloc[0]:.3f} to {loss.iloc[-1]:.3f}; ONNX equals torch within {parity:.0e}"
    ]


def _write_report(
    config: Config, its: Material, seen: Eyes, frozen: Frozen, trained: Trained, out: Path
) -> str:
    n_parts = int(its.index["sample_id"].nunique())
    made, extra = len(its.images) - its.images.n_real, int(frozen.extra.sum())
    report = {
        "architecture": seen.names,
        "method": trained.method,
        "weights": seen.weights,
        "n_train": n_parts,
        "n_synthetic": made,
        "n_extra_views": extra,
        **trained.facts,
        "loss": float(trained.history["loss"].iloc[-1]),
    }
    write_json(out / "report.json", report)
    spec = its.stored.spec
    return (
        f"{seen.names}, weights {seen.weights}; {n_parts} parts"
        f"{f' in {spec.n_tiles} tiles' if spec.tiles else ''}"
        f"{f' and {made} synthetic' if made else ''} x {1 + config.views} views"
        f"{f' and {extra} of rare classes' if extra else ''}, "
        f"{frozen.values.shape[1]} features"
        f"{f', {frozen.found} of {len(frozen.values)} from the cache' if frozen.found else ''}"
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
            over = work if tunes(config) else None
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
    data = (source / "preprocess" / INDEX, source / "augment" / "policy.json")
    key = training_key(source / "train", *map(str, params.items()), *map(sha256, data))
    return open_run(uri, TrainingInfo(source.name, key, params, tags, experiment))


if __name__ == "__main__":
    main()
    leave()
