"""Fills the shards: in parallel, in constant memory, and again from where it was interrupted."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.datasets.manifest import Manifest
from pipeline.datasets.shards import COLUMNS, IMAGES, INDEX, MASKS, SPEC, name_of, parts_per_shard
from pipeline.errors import DataError, UnreadableImage
from pipeline.files import whole_file, write_model
from pipeline.imaging import Pixels
from pipeline.imaging.prepare import Preparation

KEY = "interrupted.key"
NOTES = "notes"


class Sharding:
    """The work of one preprocess run.

    A shard is filled in memory, by all cores, and written whole: one that is there is finished.
    Beside it lie notes on its parts, of which `close` makes the index.

    Attributes:
        n_shards: how many there will be.
        n_kept: parts in shards that an interrupted run had finished.
    """

    def __init__(self, data: Manifest, preparation: Preparation, out: Path, key: str) -> None:
        """Look at what `out` holds: it is kept if written under the same key, else removed."""
        self._data, self._preparation, self._out = data, preparation, out
        self._masked = bool((data.table["mask"] != "").any())
        n, step = len(data.table), parts_per_shard(preparation.spec)
        self._spans = [range(first, min(first + step, n)) for first in range(0, n, step)]
        self.n_shards = len(self._spans)
        marker = out / KEY
        if not marker.is_file() or marker.read_text() != key:
            shutil.rmtree(out)
            out.mkdir()
            marker.write_text(key)
        self._finished = {i for i in range(self.n_shards) if (out / name_of(i)).is_file()}
        self.n_kept = sum(len(self._spans[i]) for i in self._finished)

    def work(self) -> Iterator[None]:
        """Write what is missing, yielding once a part.

        Raises:
            DataError: an image changed since it was ingested, or the spec does not fit it.
            OSError: the disk is full, for example; finished shards stay.
        """
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for number, span in enumerate(self._spans):
                if number not in self._finished:
                    yield from self._fill(number, span, pool)

    def _fill(self, number: int, span: range, pool: ThreadPoolExecutor) -> Iterator[None]:
        spec = self._preparation.spec
        images = np.empty((len(span), spec.n_tiles, *spec.shape), np.uint8)
        masks = np.zeros(images.shape[:-1], np.uint8) if self._masked else None
        notes = np.zeros((len(span), 2 + spec.n_tiles), np.float32)
        yield from pool.map(partial(self._part, span.start, images, masks, notes), span)
        for kind, array in ((MASKS, masks), (NOTES, notes), (IMAGES, images)):
            if array is not None:
                if kind != NOTES:
                    array = array.reshape(-1, *array.shape[2:])
                _save(self._out / name_of(number, kind), array)

    def _part(
        self, first: int, images: Pixels, masks: Pixels | None, notes: np.ndarray, row: int
    ) -> None:
        try:
            mask = self._data.mask(row)
            part = self._preparation(self._data.pixels(row), mask)
        except UnreadableImage as error:
            raise DataError(f"{self._data.path(row)}: {error}") from None
        at = row - first
        images[at] = part.images
        defect = np.ones(len(part.images), bool)
        if masks is not None and part.masks is not None:
            masks[at] = part.masks
            defect = np.asarray(part.masks.any(axis=(1, 2)))
        notes[at] = [part.confidence, part.complaint is None, *defect]

    def close(self) -> None:
        """Write the index and the spec, and remove what only an interrupted run needs."""
        out, spec, table = self._out, self._preparation.spec, self._data.table
        files = [out / name_of(i, NOTES) for i in range(self.n_shards)]
        notes = np.concatenate([np.load(file) for file in files])
        n, n_tiles = len(table), spec.n_tiles
        index = table[list(COLUMNS)].loc[np.repeat(np.arange(n), n_tiles)].reset_index(drop=True)
        per_shard = parts_per_shard(spec) * n_tiles
        position = np.arange(len(index))
        index = index.assign(
            tile=position % n_tiles,
            confidence=np.repeat(notes[:, 0], n_tiles),
            found=np.repeat(notes[:, 1] > 0, n_tiles),
            shard=position // per_shard,
            row=position % per_shard,
        )
        if n_tiles > 1:
            self._clear_sound_tiles(index, notes[:, 2:].ravel() > 0)
        index.to_parquet(out / INDEX, index=False)
        write_model(out / SPEC, spec)
        for file in (*files, out / KEY):
            file.unlink()

    def _clear_sound_tiles(self, index: pd.DataFrame, defect: np.ndarray) -> None:
        """A tile without a part of the mask is good, whatever the other tiles of its part show."""
        taxonomy = self._data.taxonomy
        good = [
            name for name, passes in zip(taxonomy.names, taxonomy.passing, strict=True) if passes
        ]
        if good:
            sound = ~defect & ~index["label"].isin(good).to_numpy()
            index.loc[sound, "label"] = good[0]
            index.loc[sound, "defect_probability"] = np.nan


def _save(path: Path, array: npt.NDArray[Any]) -> None:
    """As np.save, which on a full disk says how many items it wrote but not what was wrong."""
    with whole_file(path) as handle:
        header = np.lib.format.header_data_from_array_1_0(array)
        np.lib.format.write_array_header_1_0(handle, header)
        handle.write(array.data)
