"""Ingest: a data set becomes a manifest with groups and splits, and a report of what is in it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import Field, SerializeAsAny

from pipeline import config as yaml_config
from pipeline.contracts.sample import SPLITS
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets import manifest
from pipeline.datasets.adapters import ADAPTERS, adapter
from pipeline.datasets.examination import Examination, examine
from pipeline.datasets.splits import assign, complete
from pipeline.errors import DataError
from pipeline.files import write_json
from pipeline.plugins import PluginConfig, Strict
from pipeline.reporting.validation import PAGE, write_page
from pipeline.stages import Report, progress, run_stage


class Split(Strict):
    """How parts are divided between training, choosing limits, and the final figures."""

    val_fraction: float = Field(0.2, gt=0, lt=0.5, description="Share for choosing the limits.")
    test_fraction: float = Field(0.2, gt=0, lt=0.5, description="Share that only reports.")
    seed: int = Field(0, ge=0, description="The same seed gives the same split.")
    near_duplicates: bool = Field(
        True, description="Keep images that show the same shot on one side, not only exact copies."
    )
    given: Literal["keep", "ignore"] = Field(
        "keep", description="What to do with the data set's own split, where it has one."
    )
    on_leak: Literal["error", "regroup", "warn"] = Field(
        "regroup",
        description="When the data set's own split leaks: stop, split anew by group, or keep it "
        "and say so in every report.",
    )
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

    seen = examine(
        [replace(sample, label=labels[sample.label]) for sample in samples],
        root,
        near=config.split.near_duplicates,
        watch=lambda scans, total: progress(scans, "reading images", total=total),
    )
    good, groups = seen.scans, seen.groups
    names = [s.sample.label for s in good]
    splits, leak = _split(config.split, names, seen)
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
            "mask": [s.sample.mask for s in good],
        }
    )
    manifest.write(out, table, taxonomy, config.source)
    counts = pd.crosstab(table["label"], table["split"]).reindex(
        index=pd.Index(taxonomy.names, name="class"), columns=list(SPLITS), fill_value=0
    )
    counts.to_csv(out / "class-counts.csv")
    found = seen.report(splits)
    report = {
        **found,
        "classes": {str(k): int(v) for k, v in counts.sum(axis=1).items()},
        "splits": {s: splits.count(s) for s in SPLITS},
        "split": {
            "by": config.split.by,
            "n_groups": len(set(groups)),
            "seed": config.split.seed,
            "leak_checked": True,
            "leaky": found["leaky"],
            "given": leak,
        },
    }
    write_json(out / manifest.REPORT, report)
    write_page(out / PAGE, seen, splits, report, root, notes=[leak] if leak else [])
    return Report(
        [
            f"{len(table)} images, {len(set(groups))} groups (by {config.split.by}), "
            f"{len(seen.damaged)} quarantined",
            f"{len(seen.identical)} identical copies, {found['near_duplicate_groups']} clusters of "
            "near-duplicates, each kept on one side"
            if not found["leaky"]
            else "LEAKY: the given split has the same images on both sides",
            *([leak] if leak else []),
            *counts.to_string().splitlines(),
            *(f"quarantined {s.sample.path}: {s.fault}" for s in seen.damaged[:5]),
        ]
    )


def _split(config: Split, names: list[str], seen: Examination) -> tuple[list[str], str]:
    """The split to use, and a sentence on the data set's own split if it has one."""
    given = [s.sample.split for s in seen.scans]
    settings: dict[str, Any] = {
        "val_fraction": config.val_fraction,
        "test_fraction": config.test_fraction,
        "seed": config.seed,
    }
    if config.given == "ignore" or not any(given):
        return assign(names, seen.groups, **settings), ""
    leaks = seen.leaks(given)
    if not leaks:
        return complete(given, names, seen.groups, **settings), "the given split does not leak"
    identical, near = seen.across(given)
    sentence = (
        f"the given split is leaky: {len(identical)} identical and {len(near)} near-duplicate "
        f"pairs stand on different sides, {len(leaks)} groups in all"
    )
    if config.on_leak == "error":
        raise DataError(
            f"{sentence}, such as {leaks[0]}; mend the split, or set split.on_leak to regroup or "
            "warn in ingest.yaml"
        )
    if config.on_leak == "warn":
        return complete(given, names, seen.groups, **settings), f"{sentence}; it is kept"
    return assign(names, seen.groups, **settings), f"{sentence}; split anew by group"


def main(argv: Sequence[str] = sys.argv) -> None:
    """`python -m pipeline.stages.ingest RECIPE`."""

    def stage(config: Config, data: Path, out: Path) -> Report:
        taxonomy = yaml_config.load(Path("conf", data.name, "taxonomy.yaml"), Taxonomy)
        return run(config, taxonomy, out)

    run_stage("ingest", Config, stage, argv)


if __name__ == "__main__":
    main()
