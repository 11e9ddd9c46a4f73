"""Synthetic training images: made from masks and good parts, kept as shards of their own.

`synthetic/` is laid out like `preprocess/`; its index has the same columns, taken from the donor
(`group` too), and beside them `donor` and `background`, each with its position in the prepared
images, and `background_group`. A head that must not know a group must not see an image that either
came from.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets import shards
from pipeline.datasets.shards import Shards
from pipeline.errors import DataError
from pipeline.files import write_model
from pipeline.imaging import Pixels
from pipeline.training.augmentation.defects import Defect, defects_of
from pipeline.training.augmentation.pasting import Paste, paste

FOLDER = "synthetic"
PAIRS = 10  # of donor and background, tried for each synthetic image


@dataclass(frozen=True)
class Pasted:
    """One synthetic image.

    Attributes:
        label: that of the donor.
        donor, background: positions of what it is made of.
        image: uint8 H,W,C.
        mask: uint8 H,W.
    """

    label: str
    donor: int
    background: int
    image: Pixels
    mask: Pixels


def make(
    stored: Shards, rows: npt.NDArray[np.intp], taxonomy: Taxonomy, config: Paste
) -> Iterator[Pasted]:
    """Paste defects of bad training parts into good ones of the same product variant.

    Args:
        stored: the prepared images and their masks.
        rows: the training images among them.
        taxonomy: says which classes are good.
        config: how many, and how.

    Yields:
        At most `config.images_per_class` of each bad class with masks, fewer where defects do not
        fit; the same arguments give the same images.

    Raises:
        DataError: there are no masks, no good parts or no defect that is whole.
    """
    if not len(rows) or stored.mask(int(rows[0])) is None:
        raise DataError(
            "paste in augment.yaml needs defect masks or boxes, and this data set has neither; the "
            "adapters masks, mvtec and rle (source.type in ingest.yaml) bring masks, those of "
            "annotated boxes boxes; remove paste to do without"
        )
    passing = set(taxonomy.good)
    labels = stored.index["label"].to_numpy()
    variants = stored.index["variant"].to_numpy()
    grounds: dict[str, list[int]] = {}
    for row in rows.tolist():
        if labels[row] in passing:
            grounds.setdefault(str(variants[row]), []).append(row)
    if not grounds:
        raise DataError(
            "paste in augment.yaml needs training images of good parts, and there is none; no "
            "class with disposition pass in taxonomy.yaml has any"
        )
    found = 0
    for label in [n for n in taxonomy.names if n not in passing]:
        donors = [
            row
            for row in rows[labels[rows] == label].tolist()
            if str(variants[row]) in grounds and _whole_defects(stored, row)
        ]
        found += len(donors)
        for i in range(config.images_per_class if donors else 0):
            rng = np.random.default_rng([config.seed, zlib.crc32(label.encode()), i])
            for _ in range(PAIRS):
                donor = donors[int(rng.integers(len(donors)))]
                there = grounds[str(variants[donor])]
                ground = there[int(rng.integers(len(there)))]
                whole = _whole_defects(stored, donor)
                made = paste(stored[donor], whole, stored[ground], config, rng)
                if made is not None:
                    yield Pasted(label, donor, ground, *made)
                    break
    if not found:
        raise DataError(
            "paste in augment.yaml has no defect to cut out: no mask of a bad training part holds "
            "one that ends inside the image and has good parts of its variant; remove paste"
        )


def _whole_defects(stored: Shards, row: int) -> list[Defect]:
    """The defects that end inside the image: one that the border cuts would look cut."""
    mask = stored.mask(row)
    return [] if mask is None else [d for d in defects_of(mask) if d.whole]


def write(folder: Path, stored: Shards, pasted: Iterable[Pasted]) -> pd.DataFrame:
    """Write images, masks and index as shards, at most one of them in memory; returns the index.

    Without any image the index is empty, so that `train` need not ask.
    """
    folder.mkdir()
    per_shard = shards.images_per_shard(stored.spec)
    ids, groups = stored.index["sample_id"].to_numpy(), stored.index["group"].to_numpy()
    pending: list[Pasted] = []
    facts: list[dict[str, object]] = []
    donors: list[int] = []
    count: dict[str, int] = {}

    def flush() -> None:
        shard = (len(facts) - 1) // per_shard
        np.save(folder / shards.name_of(shard), np.stack([p.image for p in pending]))
        np.save(folder / shards.name_of(shard, shards.MASKS), np.stack([p.mask for p in pending]))
        pending.clear()

    for one in pasted:
        n = count[one.label] = count.get(one.label, 0) + 1
        shard, row = divmod(len(facts), per_shard)
        donors.append(one.donor)
        facts.append(
            {
                "sample_id": f"pasted/{one.label}/{n:05d}",
                "shard": shard,
                "row": row,
                "donor": str(ids[one.donor]),
                "donor_position": one.donor,
                "background": str(ids[one.background]),
                "background_position": one.background,
                "background_group": str(groups[one.background]),
            }
        )
        pending.append(one)
        if len(pending) == per_shard:
            flush()
    if pending:
        flush()
    own = ["sample_id", "shard", "row", "donor", "donor_position"]
    own += ["background", "background_position", "background_group"]
    inherited = stored.index.iloc[donors].drop(columns=own[:3]).reset_index(drop=True)
    index = pd.concat([pd.DataFrame(facts, columns=own), inherited], axis=1)
    index.to_parquet(folder / shards.INDEX, index=False)
    write_model(folder / shards.SPEC, stored.spec)
    return index


class TrainingImages:
    """The training images, then the synthetic ones, by one position.

    Attributes:
        index: one row an image, the columns of the prepared images.
        n_real: how many of them a camera took.
        parents: for each synthetic image the groups that it came from.
    """

    def __init__(self, stored: Shards, rows: npt.NDArray[np.intp], synthetic: Shards) -> None:
        real = stored.index.iloc[rows].reset_index(drop=True)
        made = synthetic.index
        self.index = pd.concat([real, made[real.columns]], ignore_index=True) if len(made) else real
        self.n_real = len(rows)
        pairs = zip(made["group"], made["background_group"], strict=True)
        self.parents = [frozenset(pair) for pair in pairs]
        self._stored, self._rows, self._synthetic = stored, rows, synthetic

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, position: int) -> Pixels:
        """One image, uint8 H,W,C, a copy."""
        if position < self.n_real:
            return self._stored[int(self._rows[position])]
        return self._synthetic[position - self.n_real]

    def stack(self, positions: npt.NDArray[np.intp]) -> Pixels:
        """Some images, uint8 n,H,W,C, a copy."""
        return np.stack([self[int(i)] for i in positions])
