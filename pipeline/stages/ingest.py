"""Ingest: a data set becomes a manifest with groups and splits, and a report of what is in it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import Field, SerializeAsAny

from pipeline import config as yaml_config
from pipeline.contracts.sample import SPLITS
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets import manifest
from pipeline.datasets.adapters import ADAPTERS, adapter
from pipeline.datasets.splits import assign, crossing, join_duplicates
from pipeline.errors import DataError
from pipeline.files import write_json
from pipeline.plugins import PluginConfig, Strict
from pipeline.stages import Report, progress, run_stage


class Split(Strict):
    """How parts are divided between training, choosing limits, and the final figures."""

    val_fraction: float = Field(0.2, gt=0, lt=0.5, description="Share for choosing the limits.")
    test_fraction: float = Field(0.2, gt=0, lt=0.5, description="Share that only reports.")
    seed: int = Field(0, ge=0, description="The same seed gives the same split.")
    by: str = Field("group", description="What a group stands for, in words, for the report.")


class Config(Strict):
    """`conf/<recipe>/ingest.yaml`."""

    source: Annotated[SerializeAsAny[PluginConfig], ADAPTERS] = Field(
        description="Where the images are; `type` names a file in pipeline/datasets/adapters/."
    )
    split: Split = Field(description="How train, val and test are divided.")


def run(config: Config, taxonomy: Taxonomy, out: Path) -> Report:
    """Write manifest.parquet and what describes it (taxonomy, source, counts, report) into `out`.

    Raises:
        DataError: no images, an unknown class, too few to split, or none readable.
    """
    source = adapter(config.source)
    root = source.root(config.source)
    samples = source.read(config.source)
    labels = {}
    for sample in samples:
        try:
            labels[sample.label] = taxonomy.names[taxonomy.index(sample.label)]
        except DataError as error:
            raise DataError(f"{root / sample.path}: {error}") from None

    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda s: manifest.scan(s, root), samples)
        scans = list(progress(found, "reading images", total=len(samples)))
    good = [s for s in scans if not s.fault]
    quarantined = [{"path": s.sample.path, "reason": s.fault} for s in scans if s.fault]
    if not good:
        raise DataError(f"none of the {len(scans)} images in {root} can be read: {scans[0].fault}")

    own = [s.sample.group for s in good]
    groups = join_duplicates(own, [s.pixels_sha256 for s in good])
    names = [labels[s.sample.label] for s in good]
    splits = assign(
        names,
        groups,
        val_fraction=config.split.val_fraction,
        test_fraction=config.split.test_fraction,
        seed=config.split.seed,
    )
    table = pd.DataFrame(
        {
            "sample_id": [s.sample.id for s in good],
            "path": [s.sample.path for s in good],
            "label": names,
            "group": groups,
            "split": splits,
            "variant": [s.sample.variant for s in good],
            "defect_probability": pd.Series(
                [s.sample.defect_probability for s in good], dtype="float64"
            ),
            "width_px": [s.width_px for s in good],
            "height_px": [s.height_px for s in good],
            "bytes": [s.bytes for s in good],
            "sha256": [s.sha256 for s in good],
            "pixels_sha256": [s.pixels_sha256 for s in good],
        }
    )
    manifest.write(out, table, taxonomy, config.source)
    counts = pd.crosstab(table["label"], table["split"]).reindex(
        index=pd.Index(taxonomy.names, name="class"), columns=list(SPLITS), fill_value=0
    )
    counts.to_csv(out / "class-counts.csv")
    copies = int(table["pixels_sha256"].duplicated().sum())
    leaks = crossing(table["pixels_sha256"], splits) + crossing(groups, splits)
    if leaks:
        raise DataError(f"the split leaks, which is a fault of Lineside: {', '.join(leaks[:5])}")
    report = {
        "n": len(table),
        "classes": {str(k): int(v) for k, v in counts.sum(axis=1).items()},
        "splits": {s: int((table["split"] == s).sum()) for s in SPLITS},
        "split": {
            "by": config.split.by,
            "n_groups": len(set(groups)),
            "seed": config.split.seed,
            "leak_checked": True,
            "leaks": leaks,
        },
        "identical_copies": copies,
        "groups_merged_for_copies": len(set(own)) - len(set(groups)),
        "quarantined": quarantined,
    }
    write_json(out / manifest.REPORT, report)
    return Report(
        [
            f"{len(table)} images, {len(set(groups))} groups (by {config.split.by}), "
            f"{len(quarantined)} quarantined, {copies} identical copies kept on one side",
            *counts.to_string().splitlines(),
            *(f"quarantined {q['path']}: {q['reason']}" for q in quarantined[:5]),
        ]
    )


def main(argv: Sequence[str] = sys.argv) -> None:
    """`python -m pipeline.stages.ingest RECIPE`."""

    def stage(config: Config, data: Path, out: Path) -> Report:
        taxonomy = yaml_config.load(Path("conf", data.name, "taxonomy.yaml"), Taxonomy)
        return run(config, taxonomy, out)

    run_stage("ingest", Config, stage, argv)


if __name__ == "__main__":
    main()
