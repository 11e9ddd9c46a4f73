"""The table of samples that `ingest` writes and every later stage reads (Parquet).

sample_id           unique name
path                POSIX path relative to the adapter's root
label               class name of the taxonomy (aliases resolved)
group, split        train, val or test; a group stands in one split only
given_split         the data set's own split where that leaks and was replaced, else ""
fold                of training images, 0 to k - 1, by group; -1 for the others or without folds
variant             product variant, "" when there is only one
defect_probability  the annotator's belief, NaN where none was given
weight              how much it counts in the loss of training, above 0 to 1; 1 where an older
                    manifest has no such column
width_px, height_px, bytes
sha256              of the file, so that a later stage notices a changed image
pixels_sha256       of the decoded pixels, so that a re-encoded copy is still a copy
mask, mask_sha256   the image's defect mask as the adapter named it (a POSIX path, several, or run
                    lengths) and its hash, "" where it has none
boxes               what is marked in the image, as JSON with label (a class) and sides in pixels,
                    "" where nothing is; older manifests have no such column
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.contracts.sample import Box
from pipeline.contracts.spec import RawPixels
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets import location
from pipeline.datasets.annotations import defect_mask
from pipeline.datasets.annotations.boxes import filled, parsed, written
from pipeline.datasets.location import Place
from pipeline.datasets.scanning import Scan
from pipeline.errors import DataError
from pipeline.files import write_model
from pipeline.imaging import Pixels
from pipeline.imaging.codec import decode
from pipeline.plugins import PluginConfig

TABLE = "manifest.parquet"
SOURCE = "source.json"
REPORT = "report.json"
TAXONOMY = "taxonomy.json"


def rows(
    scans: Sequence[Scan],
    groups: Sequence[str],
    splits: Sequence[str],
    given: Sequence[str],
    folds: Sequence[int],
) -> pd.DataFrame:
    """The table of readable images.

    Args:
        scans: of each.
        groups, splits, folds: of each.
        given: the data set's own split of each where that was replaced, else "".
    """
    return pd.DataFrame(
        {
            "sample_id": [s.sample.id for s in scans],
            "path": [s.sample.path for s in scans],
            "label": [s.sample.label for s in scans],
            "group": groups,
            "split": splits,
            "given_split": given,
            "fold": folds,
            "variant": [s.sample.variant for s in scans],
            "defect_probability": pd.Series(
                [s.sample.defect_probability for s in scans], dtype="float64"
            ),
            "weight": pd.Series([s.sample.weight for s in scans], dtype="float64"),
            "width_px": [s.width_px for s in scans],
            "height_px": [s.height_px for s in scans],
            "bytes": [s.bytes for s in scans],
            "sha256": [s.sha256 for s in scans],
            "pixels_sha256": [s.pixels_sha256 for s in scans],
            "mask": [s.sample.mask for s in scans],
            "mask_sha256": [s.mask_sha256 for s in scans],
            "boxes": [written(s.sample.boxes) for s in scans],
        }
    )


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
        mask, name = self._columns["mask"][row], self._columns["path"][row]
        if not mask:
            return None
        contents = [self._read(path) for path in defect_mask.files(mask)]
        if defect_mask.digest(mask, contents) != self._columns["mask_sha256"][row]:
            raise self._changed(defect_mask.files(mask)[0])
        return defect_mask.decoded(mask, contents, self._size(row), name)

    def boxes(self, row: int) -> tuple[Box, ...]:
        """What is marked in the image of one row, in pixels of the image."""
        return parsed(self._columns["boxes"][row]) if "boxes" in self._columns else ()

    @property
    def has_marks(self) -> bool:
        """Has any row a mask or boxes?"""
        columns = {"mask", "boxes"} & set(self.table)
        return any(bool((self.table[name] != "").any()) for name in columns)

    def marked(self, row: int) -> Pixels | None:
        """Where the defect of one row is: its mask, else its boxes filled; None without either.

        Boxes of a class that passes mark no defect.
        """
        passing = self.taxonomy.good
        mask = self.mask(row)
        boxes = [box for box in self.boxes(row) if box.label not in passing]
        return filled(boxes, *self._size(row)) if mask is None and boxes else mask

    def _size(self, row: int) -> tuple[int, int]:
        width, height = self.table[["width_px", "height_px"]].to_numpy(int)[row].tolist()
        return width, height

    def _changed(self, name: str) -> DataError:
        return DataError(f"{self.root / name} has changed since it was ingested; run dvc repro")

    def image(self, row: int) -> bytes:
        """The encoded image of one row.

        Raises:
            DataError: the file is gone or is no longer what was ingested.
        """
        name = self._columns["path"][row]
        data = self._read(name)
        if hashlib.sha256(data).hexdigest() != self._columns["sha256"][row]:
            raise self._changed(name)
        return data

    def _read(self, name: str) -> bytes:
        place = self.root / name
        try:
            return location.content(place)
        except OSError as error:
            raise DataError(
                f"{place} is in the manifest but cannot be read ({error.strerror}); run dvc repro"
            ) from None

    def pixels(self, row: int) -> Pixels:
        """The decoded image of one row, uint8 RGB."""
        return decode(self.image(row), self._columns["path"][row], self.raw)

    @cached_property
    def _columns(self) -> dict[str, list[str]]:
        """As lists: a table takes long for one cell."""
        names = ("path", "sha256", "mask", "mask_sha256", "boxes")
        return {name: self.table[name].tolist() for name in names if name in self.table}
