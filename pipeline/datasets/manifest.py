"""The table of samples that `ingest` writes and every later stage reads (Parquet).

sample_id           unique name
path                POSIX path relative to the adapter's root
label               class name of the taxonomy (aliases resolved)
group, split        train, val or test; a group stands in one split only
given_split         the data set's own split where that leaks and was replaced, else ""
fold                of training images, 0 to k - 1, by group; -1 for the others or without folds
variant             product variant, "" when there is only one
defect_probability  the annotator's belief, NaN where none was given
width_px, height_px, bytes
sha256              of the file, so that a later stage notices a changed image
pixels_sha256       of the decoded pixels, so that a re-encoded copy is still a copy
mask, mask_sha256   POSIX path and hash of the image's defect mask, "" where it has none
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.contracts.spec import RawPixels
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets import location
from pipeline.datasets.location import Place
from pipeline.errors import DataError
from pipeline.files import write_model
from pipeline.imaging import Pixels
from pipeline.imaging.codec import decode, decode_mask
from pipeline.plugins import PluginConfig

TABLE = "manifest.parquet"
SOURCE = "source.json"
REPORT = "report.json"
TAXONOMY = "taxonomy.json"


def write(folder: Path, table: pd.DataFrame, taxonomy: Taxonomy, source: PluginConfig) -> None:
    """Write the table, the taxonomy and where the images are."""
    table.to_parquet(folder / TABLE, index=False)
    write_model(folder / TAXONOMY, taxonomy)
    write_model(folder / SOURCE, source)


@dataclass(frozen=True)
class Manifest:
    """An ingested data set.

    Attributes:
        table: the columns named above, one row a sample.
        taxonomy: the recipe's classes.
        root: the folder that paths are relative to.
        report: what `ingest` found, as in its report.json.
    """

    table: pd.DataFrame
    taxonomy: Taxonomy
    root: Place
    report: dict[str, Any]

    @cached_property
    def raw(self) -> RawPixels | None:
        """What the images' values mean, where they are a sensor's own."""
        given = self.report.get("raw")
        return None if given is None else RawPixels.model_validate(given)

    def path(self, row: int) -> Place:
        """Where the image of one row lies."""
        return self.root / self._columns["path"][row]

    def mask(self, row: int) -> Pixels | None:
        """The defect mask of one row, uint8 H,W, 0 where it is sound; None where it has none."""
        name = self._columns["mask"][row]
        if not name:
            return None
        return decode_mask(self._content(name, self._columns["mask_sha256"][row]), name)

    def image(self, row: int) -> bytes:
        """The encoded image of one row.

        Raises:
            DataError: the file is gone or is no longer what was ingested.
        """
        return self._content(self._columns["path"][row], self._columns["sha256"][row])

    def _content(self, name: str, sha256: str) -> bytes:
        place = self.root / name
        try:
            data = location.content(place)
        except OSError as error:
            raise DataError(
                f"{place} is in the manifest but cannot be read ({error.strerror}); run dvc repro"
            ) from None
        if hashlib.sha256(data).hexdigest() != sha256:
            raise DataError(f"{place} has changed since it was ingested; run dvc repro")
        return data

    def pixels(self, row: int) -> Pixels:
        """The decoded image of one row, uint8 RGB."""
        return decode(self.image(row), self._columns["path"][row], self.raw)

    @cached_property
    def _columns(self) -> dict[str, list[str]]:
        """As lists: a table takes long for one cell."""
        names = ("path", "sha256", "mask", "mask_sha256")
        return {name: self.table[name].tolist() for name in names if name in self.table}
