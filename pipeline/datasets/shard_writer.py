"""Writes the shards: in parallel, in constant memory; an interrupted run is resumed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from pipeline.contracts.spec import PreprocessSpec, reference_file
from pipeline.datasets.manifest import TABLE, Manifest
from pipeline.datasets.shards import COLUMNS, IMAGES, INDEX, MASKS, SPEC, name_of, parts_per_shard
from pipeline.errors import DataError, UnreadableImage
from pipeline.files import sha256, whole_file, write_model
from pipeline.imaging import Pixels
from pipeline.imaging.codec import VERSION as CODEC_VERSION
from pipeline.imaging.prepare import Preparation
from pipeline.source_code import code_digest

KEY = "interrupted.key"
NOTES = "notes"

# Writes rows, from a first one on.
Write = Callable[[int, Pixels], None]


class ShardWriter:
    """The work of one preprocess run.

    All cores fill a shard beside its place, which it takes when it is whole: one that is there is
    finished. Beside it lie notes on its parts, of which the index is made.

    Attributes:
        n_shards: how many there will be.
        n_kept: parts in shards that an interrupted run had finished.
    """

    def __init__(self, data: Manifest, preparation: Preparation, ingested: Path, out: Path) -> None:
        """Look at what `out` holds: what an interrupted run finished there is kept if it fits.

        Args:
            data: what to prepare.
            preparation: how.
            ingested: the folder that the manifest and the reference pictures are in.
            out: where the shards go; empty, or with what an interrupted run left.
        """
        self._data, self._preparation, self._out = data, preparation, out
        self._kinds = (IMAGES, NOTES, MASKS) if data.has_marks else (IMAGES, NOTES)
        n, step = len(data.table), parts_per_shard(preparation.spec)
        self._spans = [range(first, min(first + step, n)) for first in range(0, n, step)]
        self.n_shards = len(self._spans)
        marker, key = out / KEY, _key(preparation.spec, ingested)
        if not marker.is_file() or marker.read_text() != key:
            for kind in (IMAGES, NOTES, MASKS):
                for file in out.glob(f"{kind}-*.npy"):
                    file.unlink()
            marker.write_text(key)
        self._finished = {i for i in range(self.n_shards) if self._is_whole(i)}
        self.n_kept = sum(len(self._spans[i]) for i in self._finished)

    def _is_whole(self, number: int) -> bool:
        return all((self._out / name_of(number, kind)).is_file() for kind in self._kinds)

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
            images = files.enter_context(_rows_of(self._out / name_of(number), shape))
            masks = None
            if MASKS in self._kinds:
                home = self._out / name_of(number, MASKS)
                masks = files.enter_context(_rows_of(home, shape[:-1]))
            doing = [pool.submit(self._part, row, row - span.start, images, masks) for row in span]
            try:
                for at, noted in enumerate(doing):
                    notes[at] = noted.result()
                    yield
            finally:
                # No thread may write once the files are closed.
                for one in doing:
                    one.cancel()
                wait(doing)
            with whole_file(self._out / name_of(number, NOTES)) as handle:
                np.save(handle, notes)

    def _part(self, row: int, at: int, images: Write, masks: Write | None) -> list[float]:
        """Prepare and write one part; returns its notes."""
        try:
            mask = self._data.marked(row)
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
        return [part.confidence, float(part.reason is None), *defect]

    def write_index(self) -> int:
        """Write the index and the spec.

        Returns:
            How many bad parts show no defect in any tile, though the data set has masks or boxes.
        """
        spec, table = self._preparation.spec, self._data.table
        notes = np.concatenate([np.load(file) for file in self._notes()])
        n, n_tiles = len(table), spec.n_tiles
        index = table[list(COLUMNS)].loc[np.repeat(np.arange(n), n_tiles)].reset_index(drop=True)
        per_shard = parts_per_shard(spec) * n_tiles
        position = np.arange(len(index))
        index = index.assign(
            part_label=index["label"],
            tile=position % n_tiles,
            confidence=np.repeat(notes[:, 0], n_tiles),
            found=np.repeat(notes[:, 1] > 0, n_tiles),
            shard=position // per_shard,
            row=position % per_shard,
        )
        good = self._data.taxonomy.good
        bad = ~table["label"].isin(good).to_numpy()
        marked = notes[:, 2:] > 0
        if good:
            # A tile without a piece of what is marked is good, whatever other tiles of its part
            # show. Where none has one nothing is known of the tiles: the label stays.
            sound = (bad & marked.any(axis=1))[:, None] & ~marked
            index.loc[sound.ravel(), "label"] = good[0]
            index.loc[sound.ravel(), "defect_probability"] = np.nan
        index.to_parquet(self._out / INDEX, index=False)
        write_model(self._out / SPEC, spec)
        return int((bad & ~marked.any(axis=1)).sum())

    def close(self) -> None:
        """Remove what only an interrupted run needs; then the work is done."""
        (self._out / KEY).unlink()
        for file in self._notes():
            file.unlink()

    def _notes(self) -> list[Path]:
        return [self._out / name_of(i, NOTES) for i in range(self.n_shards)]


def _key(spec: PreprocessSpec, ingested: Path) -> str:
    """Changes with all that a shard depends on: images, spec, reference pictures, code."""
    files = [ingested / TABLE, *(ingested / reference_file(name) for name in spec.references)]
    parts = [spec.model_dump_json(), CODEC_VERSION, code_digest(__name__), *map(sha256, files)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@contextmanager
def _rows_of(path: Path, shape: tuple[int, ...]) -> Iterator[Write]:
    """Yield a writer of rows of a uint8 array file, in any order and from several threads.

    Not np.save, which on a full disk hides what was wrong; not a memory map, which dies.
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
