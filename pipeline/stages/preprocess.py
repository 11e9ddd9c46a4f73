"""Preprocess: every image once through `imaging.prepare`, into memory-mapped uint8 shards."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from pipeline.contracts.spec import PreprocessSpec
from pipeline.datasets import manifest, shards
from pipeline.errors import DataError, UnreadableImage
from pipeline.files import write_model
from pipeline.imaging import Pixels
from pipeline.imaging.codec import encode_png
from pipeline.imaging.prepare import prepare
from pipeline.imaging.sheet import contact_sheet
from pipeline.plugins import Strict
from pipeline.stages import Report, progress, run_stage


class Config(Strict):
    """`conf/<recipe>/preprocess.yaml`."""

    spec: PreprocessSpec = Field(description="What is done to every image, here and at the line.")
    sheet_per_class: int = Field(8, ge=1, le=32, description="Pictures a class on contact.png.")


def run(config: Config, source: Path, out: Path) -> Report:
    """Write shards, index.parquet, preprocess.json and contact.png into `out`.

    Args:
        config: the spec.
        source: the recipe's data folder; `ingest/` is read.
        out: an empty folder.

    Raises:
        DataError: an image changed since it was ingested, or the ROI lies outside it.
    """
    data = manifest.read(source / "ingest")
    spec, table = config.spec, data.table
    per_shard = shards.rows_per_shard(spec)

    def one(row: int) -> Pixels:
        try:
            return prepare(data.pixels(row), spec)
        except UnreadableImage as error:
            raise DataError(f"{data.root / str(table['path'].iat[row])}: {error}") from None

    shard: Pixels | None = None
    with ThreadPoolExecutor() as pool:
        images = pool.map(one, range(len(table)))
        for row, image in enumerate(progress(images, "preparing images", total=len(table))):
            if row % per_shard == 0:
                shape = (min(per_shard, len(table) - row), *spec.shape)
                file = out / shards.name_of(row // per_shard)
                shard = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)
            assert shard is not None
            shard[row % per_shard] = image
    copied = ["sample_id", "label", "group", "split", "given_split", "fold", "variant"]
    index = table[[*copied, "defect_probability"]]
    position = pd.Series(range(len(table)))
    index = index.assign(shard=position // per_shard, row=position % per_shard)
    index.to_parquet(out / shards.INDEX, index=False)
    write_model(out / shards.SPEC, spec)

    stored = shards.Shards(out)
    tiles = [
        (f"{name} {stored.index['sample_id'].iat[i]}", stored[i])
        for name in data.taxonomy.names
        for i in _spread(np.flatnonzero(stored.index["label"] == name), config.sheet_per_class)
    ]
    sheet = contact_sheet(tiles, columns=config.sheet_per_class)
    (out / "contact.png").write_bytes(encode_png(sheet))
    height, width, channels = spec.shape
    bytes_each = height * width * channels
    return Report(
        [
            f"{len(table)} images of {width}x{height}x{channels}, {bytes_each / 1e3:.0f} kB each, "
            f"{len(table) * bytes_each / 1e6:.0f} MB in all"
        ]
    )


def _spread(positions: np.ndarray, n: int) -> list[int]:
    """At most n positions, evenly over all."""
    picks = np.linspace(0, len(positions) - 1, min(n, len(positions))).astype(int)
    return [int(i) for i in positions[picks]]


def main(argv: Sequence[str] = sys.argv) -> None:
    """`python -m pipeline.stages.preprocess RECIPE`."""
    run_stage("preprocess", Config, run, argv)


if __name__ == "__main__":
    main()
