"""Prepared images in a few large files, memory-mapped: no decoding and no copies in training.

`images-0000.npy`, ... hold uint8 n,H,W,C; `index.parquet` has one row an image, in shard order: of
the manifest sample_id, label, group, split, given_split, fold, variant, defect_probability and
weight (1 where an older index has none); further

part_label      the part's own label; that of a tile differs where masks or boxes show it sound
tile            which tile of the part it is, row by row from 0; several where the spec cuts tiles
confidence      of the place where the part was found; `found` whether that was enough
shard, row      where it lies

Where a data set has defect masks or boxes, `masks-0000.npy`, ... hold them likewise, uint8 n,H,W,
0 where the part is sound; a tile without a defect has the label of a good part then.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.contracts.spec import PreprocessSpec
from pipeline.files import read_model
from pipeline.imaging import Pixels

INDEX = "index.parquet"
SPEC = "preprocess.json"
IMAGES, MASKS = "images", "masks"
COLUMNS = (
    *("sample_id", "label", "group", "split", "given_split", "fold", "variant"),
    *("defect_probability", "weight"),
)
SHARD_BYTES = 64 * 2**20


class Shards:
    """Prepared images by position, in the order of `index`.

    Attributes:
        index: one row an image, the columns named above.
        spec: how the images were prepared.
    """

    def __init__(self, folder: Path) -> None:
        self.index = pd.read_parquet(folder / INDEX)
        if "weight" not in self.index:
            self.index["weight"] = 1.0
        self.spec = read_model(folder / SPEC, PreprocessSpec)
        self._shard = self.index["shard"].to_numpy()
        self._row = self.index["row"].to_numpy()
        n_shards = int(self._shard.max()) + 1 if len(self.index) else 0
        self._maps = [np.load(folder / name_of(i), mmap_mode="r") for i in range(n_shards)]
        masked = range(n_shards if (folder / name_of(0, MASKS)).is_file() else 0)
        self._masks = [np.load(folder / name_of(i, MASKS), mmap_mode="r") for i in masked]

    @property
    def training(self) -> npt.NDArray[np.intp]:
        """Positions to learn from: of the training split, with the part found."""
        return np.flatnonzero((self.index["split"] == "train") & self.index["found"])

    @property
    def validation(self) -> npt.NDArray[np.intp]:
        """Positions of the validation split, with the part found."""
        return np.flatnonzero((self.index["split"] == "val") & self.index["found"])

    @property
    def has_marks(self) -> bool:
        """Do masks or boxes show where parts are bad, so that tiles have labels of their own?"""
        return bool(self._masks)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, position: int) -> Pixels:
        """One image, uint8 H,W,C, a copy."""
        return np.array(self._maps[self._shard[position]][self._row[position]])

    def mask(self, position: int) -> Pixels | None:
        """The defect mask of one image, uint8 H,W (0 is sound); None when no image has one."""
        if not self._masks:
            return None
        return np.array(self._masks[self._shard[position]][self._row[position]])

    def stack(self, positions: npt.NDArray[np.intp]) -> Pixels:
        """Some images, uint8 n,H,W,C, a copy."""
        return np.stack([self[int(i)] for i in positions])


def name_of(shard: int, kind: str = IMAGES) -> str:
    """File name of a shard of images or of masks."""
    return f"{kind}-{shard:04d}.npy"


def images_per_shard(spec: PreprocessSpec) -> int:
    """Images, or tiles, that fill a shard of `SHARD_BYTES`."""
    return max(1, SHARD_BYTES // int(np.prod(spec.shape)))


def parts_per_shard(spec: PreprocessSpec) -> int:
    """Parts, with all their tiles, that fill a shard of `SHARD_BYTES`."""
    return max(1, images_per_shard(spec) // spec.n_tiles)
