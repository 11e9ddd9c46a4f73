"""Preprocess: every image once through `imaging.prepare`, into memory-mapped uint8 shards."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.contracts.spec import Preprocessing, PreprocessSpec, reference_file
from pipeline.datasets.manifest import Manifest
from pipeline.datasets.manifest_reader import read_manifest
from pipeline.datasets.proposals.fit import remarks
from pipeline.datasets.shard_writer import ShardWriter
from pipeline.datasets.shards import Shards
from pipeline.errors import DataError
from pipeline.imaging import Pixels
from pipeline.imaging.codec import encode_png
from pipeline.imaging.prepare import Preparation, Steps
from pipeline.imaging.sheet import contact_sheet, thumbnail
from pipeline.stages import Report, progress, run_stage

SHOWN = 64
STEPS_SHOWN, TILES_SHOWN, TILE_PX = 6, 6, 144


Config = Preprocessing


def run(config: Config, source: Path, out: Path) -> Report:
    """Write shards, index.parquet, preprocess.json, contact.png and steps.png.

    Args:
        config: the spec.
        source: the recipe's data folder; `ingest/` is read.
        out: an empty folder, or one that an interrupted run left: its whole shards are kept when
            spec, images and this code are still the same.

    Raises:
        DataError: an image changed since it was ingested, the spec does not fit it, a picture that
            the spec names was not given, or the part was found in no training image of a class.
    """
    ingested = source / "ingest"
    data = read_manifest(ingested)
    spec = _with_raw(config.spec, data)
    preparation = Preparation.read(spec, ingested)
    job = ShardWriter(data, preparation, ingested, out)
    kept = job.n_kept
    for _ in progress(job.work(), "preparing images", total=len(data.table), done=kept):
        pass
    unseen = job.write_index()
    for name in spec.references:
        shutil.copy(ingested / reference_file(name), out)

    stored = Shards(out)
    tiles = [
        (_caption(stored, i), stored[i])
        for name in data.taxonomy.names
        for i in _spread(np.flatnonzero(stored.index["label"] == name), config.sheet_per_class)
    ]
    sheet = contact_sheet(tiles, columns=config.sheet_per_class)
    (out / "contact.png").write_bytes(encode_png(sheet))
    (out / "steps.png").write_bytes(encode_png(_steps(data, preparation)))
    height, width, channels = spec.shape
    bytes_each, n = height * width * channels, len(data.table)
    cut = f" in {spec.n_tiles} tiles" if spec.tiles else ""
    facts = [
        f"{n} images{cut} of {width}x{height}x{channels}, {bytes_each * spec.n_tiles / 1e3:.0f} kB "
        f"each, {len(stored) * bytes_each / 1e6:.0f} MB in {job.n_shards} shard(s)"
    ]
    if kept:
        facts.append(f"{kept} of them were ready from a run that was interrupted")
    if unseen:
        facts.append(
            f"{unseen} bad parts show no defect in their mask after this (not marked, or outside "
            "of what is kept); they keep their label"
        )
    sizes = zip(data.table["width_px"].tolist(), data.table["height_px"].tolist(), strict=True)
    facts += remarks(spec, list(sizes), source.name)
    lost = np.flatnonzero(~stored.index["found"] & (stored.index["tile"] == 0))
    if len(lost):
        shown = [(_caption(stored, i), stored[i]) for i in _spread(lost, SHOWN)]
        (out / "not-found.png").write_bytes(encode_png(contact_sheet(shown, columns=8)))
        facts.append(
            f"the part was not found in {len(lost)} images (not-found.png); they are not learned "
            "from, and at the line they never pass"
        )
    _refuse_untaught(stored, data.taxonomy.good if data.report.get("good_only") else None)
    job.close()
    return Report(facts)


def _with_raw(spec: PreprocessSpec, data: Manifest) -> PreprocessSpec:
    """The spec that the bundle carries, so that a station can see whether its source does alike."""
    if spec.raw not in (None, data.raw):
        raise DataError(
            "spec.raw in preprocess.yaml differs from `raw` in ingest.yaml, which decoded the "
            "images; leave it out here"
        )
    return spec.model_copy(update={"raw": data.raw})


def _refuse_untaught(stored: Shards, needed: Sequence[str] | None) -> None:
    taught = set(stored.index["part_label"].iloc[stored.training])
    for name, of_class in stored.index.groupby("part_label"):
        if name not in taught and (needed is None or name in needed):
            raise DataError(
                f"the part was found in no training image of class {name}: the best confidence is "
                f"{of_class['confidence'].max():.2f}; see whether locate in preprocess.yaml fits "
                "these images, or lower its min_confidence"
            )


def _steps(data: Manifest, preparation: Preparation) -> Pixels:
    """Some pictures a row, after each step on their way to the network."""
    rows = []
    for row in _spread(np.arange(len(data.table)), STEPS_SHOWN):
        steps: Steps = []
        images = preparation(data.pixels(row), steps=steps).images
        steps = [(name, thumbnail(picture, TILE_PX)) for name, picture in steps]
        tiles = [
            (f"tile {i + 1}" if len(images) > 1 else "network", t) for i, t in enumerate(images)
        ]
        rows.append([*steps, *tiles[:TILES_SHOWN]])
    return contact_sheet([step for row in rows for step in row], columns=len(rows[0]))


def _caption(stored: Shards, position: int) -> str:
    entry = stored.index.iloc[position]
    tile = f" tile {entry['tile'] + 1}" if stored.spec.tiles else ""
    found = f" {entry['confidence']:.2f}" if stored.spec.locate else ""
    return f"{entry['label']} {entry['sample_id']}{tile}{found}"


def _spread(positions: np.ndarray, n: int) -> list[int]:
    """At most n positions, evenly over all."""
    picks = np.linspace(0, len(positions) - 1, min(n, len(positions))).astype(int)
    return [int(i) for i in positions[picks]]


def main(argv: Sequence[str] = sys.argv) -> None:
    """`python -m pipeline.stages.preprocess RECIPE`."""
    run_stage("preprocess", Config, run, argv, resumable=True)


if __name__ == "__main__":
    main()
