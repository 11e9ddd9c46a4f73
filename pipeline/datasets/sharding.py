"""Fills the shards: in parallel, in constant memory, and on from where it was interrupted."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.datasets.manifest import Manifest
from pipeline.datasets.shards import COLUMNS, INDEX, MASKS, SPEC, name_of, parts_per_shard
from pipeline.errors import DataError, UnreadableImage
from pipeline.files import whole_file, write_model
from pipeline.imaging import Pixels
from pipeline.imaging.prepare import Preparation

KEY = "interrupted.key"
NOTES = "notes"

# Writes rows, from a first one on.
Write = Callable[[int, Pixels], None]


class Sharding:
    """The work of one preprocess run.

    All cores fill a shard beside its place, which it takes when it is whole: one that is there is
    finished. Beside it lie notes on its parts, of which `close` makes the index.

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
        notes = np.zeros((len(span), 2 + spec.n_tiles), np.float32)
        shape = (len(span) * spec.n_tiles, *spec.shape)
        with ExitStack() as files:
            # Entered first, so that it is the last to take its name: then the shard is whole.
            images = files.enter_context(_rows_of(self._out / name_of(number), shape))
            masks = None
            if self._masked:
                home = self._out / name_of(number, MASKS)
                masks = files.enter_context(_rows_of(home, shape[:-1]))
            doing = [pool.submit(self._part, row, row - span.start, images, masks) for row in span]
            try:
                for at, told in enumerate(doing):
                    notes[at] = told.result()
                    yield
            finally:
                # Nobody may write once the files are closed.
                for one in doing:
                    one.cancel()
                wait(doing)
            with whole_file(self._out / name_of(number, NOTES)) as handle:
                np.save(handle, notes)

    def _part(self, row: int, at: int, images: Write, masks: Write | None) -> list[float]:
        """Prepare and write one part; returns its notes."""
        try:
            mask = self._data.mask(row)
            part = self._preparation(self._data.pixels(row), mask)
        except UnreadableImage as error:
            raise DataError(f"{self._data.path(row)}: {error}") from None
        n_tiles = len(part.images)
        images(at * n_tiles, part.images)
        defect = [1.0] * n_tiles
        if masks is not None:
            drawn = np.zeros(part.images.shape[:-1], np.uint8) if part.masks is None else part.masks
            masks(at * n_tiles, drawn)
            if part.masks is not None:
                defect = part.masks.any(axis=(1, 2)).astype(float).tolist()
        return [part.confidence, float(part.complaint is None), *defect]

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


@contextmanager
def _rows_of(path: Path, shape: tuple[int, ...]) -> Iterator[Write]:
    """Yield a writer of rows of a uint8 array file, in any order and from several threads.

    Not np.save, which on a full disk does not say what was wrong; not a memory map, which dies.
    """
    with whole_file(path) as handle:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(handle, header)
        handle.flush()
        start, row_bytes = handle.tell(), int(np.prod(shape[1:]))

        def write(first: int, rows: Pixels) -> None:
            left = memoryview(np.ascontiguousarray(rows).data).cast("B")
            at = start + first * row_bytes
            while left:
                done = os.pwrite(handle.fileno(), left, at)
                left, at = left[done:], at + done

        yield write
