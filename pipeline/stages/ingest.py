"""Ingest: a data set becomes a manifest with groups and splits, and a report of what is in it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field, SerializeAsAny, field_validator, model_validator

from pipeline import config as yaml_config
from pipeline.contracts.sample import SPLITS
from pipeline.contracts.spec import RawPixels, ReferenceName, reference_file
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets import golden, location, manifest
from pipeline.datasets.adapters import ADAPTERS, adapter
from pipeline.datasets.annotations import weights
from pipeline.datasets.annotations.classes import classified
from pipeline.datasets.checks import group_sizes
from pipeline.datasets.checks.examination import SHOWN, Examination, examine
from pipeline.datasets.grouping import Grouping, SourceGroups, regroup
from pipeline.datasets.listings.listing import Listing
from pipeline.datasets.listings.mask_twins import refuse_masks
from pipeline.datasets.listings.passing import check_passing, check_several, nothing_passes
from pipeline.datasets.location import Location, Place
from pipeline.datasets.scan_cache import ScanCache
from pipeline.datasets.splits import (
    FEW_SHOTS,
    Shares,
    assign,
    complete,
    crossing,
    folds_of_training,
)
from pipeline.errors import DataError
from pipeline.files import cache_folder, write_json
from pipeline.imaging import codec
from pipeline.plugins import PluginConfig, Strict
from pipeline.reporting.validation import PAGE, write_page
from pipeline.stages import Report, progress, run_stage

SHOWN_PARTS = 5
LEARN_FROM_GOOD = ("normal", "auto")  # methods of train.yaml that need no bad part


class Split(Strict):
    """How parts are divided between training, choosing limits, and the final figures."""

    val_fraction: float = Field(0.2, gt=0, lt=0.5, description="Share for choosing the limits.")
    test_fraction: float = Field(0.2, gt=0, lt=0.5, description="Share that only reports.")
    seed: int = Field(0, ge=0, description="The same seed gives the same split.")
    groups: Grouping = Field(
        SourceGroups(by="source"),
        description="Which images belong together and never stand on two sides. `by` is source, "
        "pattern, blocks, time or automatic, see pipeline/datasets/grouping.py.",
    )
    near_duplicates: bool = Field(
        True,
        description="Keep images that show the same shot on one side, not only exact copies. "
        "Without it they are still counted, and a split that parts them is called leaky.",
    )
    given: Literal["keep", "ignore"] = Field(
        "keep", description="What to do with the data set's own split, where it has one."
    )
    on_leak: Literal["error", "regroup", "warn"] = Field(
        "regroup",
        description="When the data set's own split leaks: stop, split again by group, or keep it "
        "and note it in every report. error also stops at a split made here that parts "
        "near-duplicates.",
    )
    folds: int = Field(
        5,
        ge=0,
        description="Parts of the training images, by group, each judged by a model trained on the "
        "others; those scores join validation when the limits are chosen. 0: none.",
    )

    @field_validator("folds")
    @classmethod
    def _more_than_one(cls, folds: int) -> int:
        if folds == 1:
            raise ValueError("one fold leaves nothing to train on; give 2 or more, or 0 for none")
        return folds

    @model_validator(mode="after")
    def _automatic_joins(self) -> Split:
        if self.groups.by == "automatic" and not self.near_duplicates:
            raise ValueError(
                "groups by automatic are clusters of near-duplicates; set near_duplicates: true"
            )
        return self

    @property
    def shares(self) -> Shares:
        """Shares of a split that is made here."""
        return Shares(self.val_fraction, self.test_fraction, self.seed)


@dataclass(frozen=True)
class _Decided:
    """The split to use, and how the data set's own was treated.

    Attributes:
        splits: of each image.
        on_given: a sentence on the data set's own split, "" where it has none or none is wanted.
        regrouped: the data set's own split leaked and was replaced.
        parted: the first pairs of images that the data set's own split parts.
    """

    splits: list[str]
    on_given: str = ""
    regrouped: bool = False
    parted: Sequence[tuple[str, str]] = ()


class Config(Strict):
    """`conf/<recipe>/ingest.yaml`."""

    source: Annotated[SerializeAsAny[PluginConfig], ADAPTERS] = Field(
        description="Where the images are; `type` names a file in pipeline/datasets/adapters/."
    )
    split: Split = Field(description="How train, val and test are divided.")
    weights: Literal["belief"] | None = Field(
        None,
        description="Weights of the images in the loss of training; belief: that of the annotators "
        "in the label, where the data set gives `defect_probability`. No figure is weighted. None: "
        "those of the data set, or 1.",
    )
    raw: RawPixels | None = Field(
        None,
        description="What the images' values mean, where they have more than 8 bits or stand "
        "behind a Bayer filter; the line file's source needs the same. None: 8 bits.",
    )
    references: dict[ReferenceName, Location] = Field(
        {}, description="Pictures that preprocess names, such as a golden sample or a flat field."
    )


def run(
    config: Config,
    taxonomy: Taxonomy,
    out: Path,
    cache: Path | None = None,
    golden_list: Path | None = None,
    *,
    good_only: bool = False,
) -> Report:
    """Write manifest.parquet and what describes it (taxonomy, source, counts, report) into `out`.

    Args:
        config: where the images are and how they are divided.
        taxonomy: the classes.
        out: an empty folder.
        cache: a file that keeps what was read, so that untouched images are not read again.
        golden_list: the parts that no model may judge wrong, if there is such a file.
        good_only: the recipe's method learns from good parts; of bad ones few or none may be there.

    Raises:
        DataError: no images, an unknown class, one class only, none that passes, too few to split,
            or none readable; a golden part that is none of them.
    """
    source = adapter(config.source)
    root = source.root(config.source)
    listing = Listing.of(source.read(config.source))
    refuse_masks(listing, root)
    samples = classified(listing, taxonomy, root)
    check_passing({s.label for s in samples}, taxonomy, root, listing.unlisted)
    if config.weights == "belief":
        samples = weights.believed(samples, taxonomy.good)
    samples = regroup(config.split.groups, samples, root)
    seen = examine(
        samples,
        root,
        near=config.split.near_duplicates,
        watch=lambda scans, total: progress(scans, "reading images", total=total),
        cache=ScanCache(cache, root, config.raw) if cache else None,
        raw=config.raw,
    )
    good, groups = seen.scans, seen.groups
    if not good:
        raise DataError(
            f"none of the {len(samples)} images in {root} can be read: {seen.damaged[0].fault}"
        )
    names = [s.sample.label for s in good]
    if not good_only:
        check_several(names, taxonomy, root, len(seen.damaged))
    check_passing(set(names), taxonomy, root)
    shares = replace(config.split.shares, taught=taxonomy.good if good_only else None)
    decided = _split(config.split, shares, names, seen)
    splits = decided.splits
    n, seed = config.split.folds, config.split.seed
    folds, fewer = folds_of_training(names, groups, splits, n, seed, shares.taught)
    own = [s.sample.split if decided.regrouped else "" for s in good]
    table = manifest.rows(good, groups, splits, own, folds)
    golden_parts = golden.read(golden_list, table, taxonomy) if golden_list else []
    golden.write(out, golden_parts)
    manifest.write(out, table, taxonomy, config.source)
    _copy_references(config.references, config.raw, out)
    counts = pd.crosstab(table["label"], table["split"]).reindex(
        index=pd.Index(taxonomy.names, name="class"), columns=list(SPLITS), fill_value=0
    )
    counts.to_csv(out / "class-counts.csv")
    found = seen.report(splits)
    kinds = group_sizes.groups_by_kind(names, groups, splits, taxonomy.good)
    is_given = bool(decided.on_given) and not decided.regrouped
    sizes = [
        *seen.notes,
        *nothing_passes(taxonomy),
        *group_sizes.few_test_groups(kinds, config.split.test_fraction, given=is_given),
    ]
    parted = found["pairs_shown"]
    by = config.split.groups.words(samples)
    report = {
        **found,
        **listing.report(),
        "raw": None if config.raw is None else config.raw.model_dump(),
        **({"good_only": True} if good_only else {}),
        "classes": {str(k): int(v) for k, v in counts.sum(axis=1).items()},
        "splits": {s: splits.count(s) for s in SPLITS},
        "split": {
            "by": by,
            "n_groups": len(set(groups)),
            "test_groups": kinds,
            "seed": config.split.seed,
            "leak_checked": True,
            "leaky": found["leaky"],
            "given": decided.on_given,
            "given_pairs_shown": decided.parted,
            "regrouped": decided.regrouped,
            "folds": max(folds) + 1,
        },
    }
    weighted = weights.note(table["weight"].tolist())
    listed = [*sizes, *weighted, *listing.lines()]
    write_json(out / manifest.REPORT, report)
    write_page(
        out / PAGE, seen, splits, report, root, notes=[*filter(None, [decided.on_given]), *listed]
    )
    return Report(
        [
            f"{len(table)} images, {len(set(groups))} groups (by {by}), the largest of "
            f"{found['largest_group']['images']} image(s), {len(seen.damaged)} quarantined",
            f"{len(seen.identical)} identical copies, {found['near_duplicate_groups']} clusters of "
            "near-duplicates, each kept on one side"
            if not found["leaky"]
            else f"LEAKY: {_parted(seen, splits)}",
            *([decided.on_given] if decided.on_given else []),
            *([f"{len(golden_parts)} golden parts"] if golden_parts else []),
            *(f"  {first} = {other}" for first, other in (decided.parted or parted)[:SHOWN_PARTS]),
            *([fewer] if fewer else []),
            *listed,
            *counts.to_string().splitlines(),
            *(f"quarantined {s.sample.path}: {s.fault}" for s in seen.damaged[:SHOWN_PARTS]),
        ]
    )


def _copy_references(references: dict[str, Place], raw: RawPixels | None, home: Path) -> None:
    """Keep the pictures as PNG: their pixels, whatever they were stored as."""
    for name, path in references.items():
        try:
            picture = codec.decode(location.image(path, str(path)), str(path), raw)
        except DataError as error:
            raise DataError(f"references.{name} in ingest.yaml: {error}") from None
        (home / reference_file(name)).write_bytes(codec.encode_png(picture))


def _split(config: Split, shares: Shares, names: list[str], seen: Examination) -> _Decided:
    """The data set's own split where it is wanted and does not leak, else one made by group."""
    decided = _decide(config, shares, names, seen)
    if config.on_leak == "error" and seen.leaks(decided.splits):
        raise DataError(
            f"the split is leaky: {_parted(seen, decided.splits)}; set split.near_duplicates to "
            "true, or split.on_leak to warn in ingest.yaml"
        )
    return decided


def _decide(config: Split, shares: Shares, names: list[str], seen: Examination) -> _Decided:
    given = [s.sample.split for s in seen.scans]
    if config.given == "ignore" or not any(given):
        return _Decided(assign(names, seen.groups, shares))
    if not seen.leaks(given):
        completed = complete(given, names, seen.groups, shares)
        return _Decided(completed, "the given split does not leak" + _spared(completed))
    found = f"the given split is leaky: {_parted(seen, given)}"
    if config.on_leak == "error":
        raise DataError(
            f"{found}; mend the split, or set split.on_leak to regroup or warn in ingest.yaml"
        )
    identical, near = seen.across(given)
    pairs = [*identical, *near][:SHOWN]
    paths = [s.sample.path for s in seen.scans]
    parted = [(paths[i], paths[j]) for i, j in pairs]
    # Groups cannot mend what they do not hold together: look-alikes, with near_duplicates off.
    mendable = bool(crossing(seen.groups, given))
    if config.on_leak == "regroup" and mendable:
        splits = assign(names, seen.groups, shares)
        return _Decided(splits, f"{found}; split again by group", True, parted)
    why = "" if mendable else ", since split.near_duplicates is off"
    kept = complete(given, names, seen.groups, shares)
    on_given = f"the given split is leaky; it is kept{why}{_spared(kept)}"
    return _Decided(kept, on_given, False, parted)


def _spared(completed: Sequence[str]) -> str:
    if "val" in completed:
        return ""
    return (
        f"; it has no validation side and at most {FEW_SHOTS} training images of a class: all are "
        "trained on, and out-of-fold scores choose the limits"
    )


def _parted(seen: Examination, splits: Sequence[str]) -> str:
    identical, near = seen.across(splits)
    leaks = seen.leaks(splits)
    return (
        f"{len(identical)} identical and {len(near)} near-duplicate pairs stand on different "
        f"sides, {len(leaks)} groups in all, such as {leaks[0]}"
    )


def main(argv: Sequence[str] = sys.argv) -> None:
    """`python -m pipeline.stages.ingest RECIPE`."""

    def stage(config: Config, data: Path, out: Path) -> Report:
        taxonomy = yaml_config.load(Path("conf", data.name, "taxonomy.yaml"), Taxonomy)
        cache = cache_folder("scans") / f"{data.name}.parquet"
        training = Path("conf", data.name, "train.yaml")
        method = yaml_config.plain(training).get("method") if training.is_file() else None
        good_only = method in LEARN_FROM_GOOD
        return run(config, taxonomy, out, cache, data / golden.FILE, good_only=good_only)

    run_stage("ingest", Config, stage, argv)


if __name__ == "__main__":
    main()
