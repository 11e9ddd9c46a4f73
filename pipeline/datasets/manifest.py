"""The table of samples that `ingest` writes and every later stage reads (Parquet).

sample_id           unique name
path                POSIX path relative to the adapter's root
label               class name of the taxonomy (aliases resolved)
group, split        train, val or test; a group stands in one split only
given_split         what the data set itself says, "" where nothing
fold                of training images, 0 to k - 1, by group; -1 for the others or without folds
variant             product variant, "" when there is only one
defect_probability  the annotator's belief, NaN where none was given
width_px, height_px, bytes
sha256              of the file, so that a later stage notices a changed image
pixels_sha256       of the decoded pixels, so that a re-encoded copy is still a copy
mask                POSIX path of the image's defect mask, "" where it has none
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.contracts.sample import Sample
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets import location
from pipeline.datasets.adapters import ADAPTERS, adapter
from pipeline.datasets.header import Header, header
from pipeline.datasets.location import Place
from pipeline.errors import DataError, UnreadableImage, printable
from pipeline.files import read_model, write_model
from pipeline.imaging import Pixels
from pipeline.imaging.codec import decode, decode_mask
from pipeline.imaging.fingerprint import Fingerprint, fingerprint
from pipeline.imaging.quality import Quality, measure
from pipeline.imaging.texture import Texture, texture
from pipeline.plugins import PluginConfig

TABLE = "manifest.parquet"
SOURCE = "source.json"
REPORT = "report.json"
TAXONOMY = "taxonomy.json"


@dataclass(frozen=True)
class Scan:
    """What reading one image file told.

    Attributes:
        sample: the sample as the adapter gave it; with a fault, its path can be printed.
        header: how the file stores its picture.
        quality: brightness, contrast and sharpness of the whole picture; None with a fault.
        fingerprint: what it shows, to find near-duplicates; None with a fault.
        texture: what its surface is like, to find wrong labels; None with a fault.
        fault: why it cannot be used, "" when it can.
    """

    sample: Sample
    width_px: int = 0
    height_px: int = 0
    bytes: int = 0
    sha256: str = ""
    pixels_sha256: str = ""
    header: Header = field(default_factory=Header)
    quality: Quality | None = None
    fingerprint: Fingerprint | None = None
    texture: Texture | None = None
    fault: str = ""


def scan(sample: Sample, root: Place) -> Scan:
    """Read and decode one image; a fault is an answer, not an exception.

    Raises:
        DataError: images that are not on disk cannot be reached; that is no fault of one image.
    """
    name = printable(sample.path)
    if name != sample.path:
        fault = f"{name} has a name that is not UTF-8, which no table can hold; rename it"
        return Scan(replace(sample, path=name), fault=fault)
    try:
        data = location.image(root / sample.path, name)
        rgb = decode(data, name)
    except UnreadableImage as error:
        return Scan(sample, fault=str(error))
    height, width = rgb.shape[:2]
    pixels = hashlib.sha256(f"{width}x{height}".encode() + rgb.tobytes()).hexdigest()
    return Scan(
        sample=sample,
        width_px=width,
        height_px=height,
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        pixels_sha256=pixels,
        header=header(data),
        quality=measure(rgb),
        fingerprint=fingerprint(rgb),
        texture=texture(rgb),
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

    def path(self, row: int) -> Place:
        """Where the image of one row lies."""
        return self.root / str(self.table["path"].iat[row])

    def mask(self, row: int) -> Pixels | None:
        """The defect mask of one row, uint8 H,W, 0 where it is sound; None where it has none."""
        name = str(self.table["mask"].iat[row])
        return decode_mask(self._content(self.root / name), name) if name else None

    def image(self, row: int) -> bytes:
        """The encoded image of one row.

        Raises:
            DataError: the file is gone or is no longer what was ingested.
        """
        path = self.path(row)
        data = self._content(path)
        if hashlib.sha256(data).hexdigest() != self.table["sha256"].iat[row]:
            raise DataError(f"{path} has changed since it was ingested; run dvc repro")
        return data

    def _content(self, place: Place) -> bytes:
        try:
            return location.content(place)
        except OSError as error:
            raise DataError(
                f"{place} is in the manifest but cannot be read ({error.strerror}); run dvc repro"
            ) from None

    def pixels(self, row: int) -> Pixels:
        """The decoded image of one row, uint8 RGB."""
        return decode(self.image(row), str(self.table["path"].iat[row]))


def read(folder: Path) -> Manifest:
    """Read what `ingest` wrote."""
    source = ADAPTERS.configure(json.loads((folder / SOURCE).read_bytes()))
    return Manifest(
        table=pd.read_parquet(folder / TABLE),
        taxonomy=read_model(folder / TAXONOMY, Taxonomy),
        root=adapter(source).root(source),
        report=json.loads((folder / REPORT).read_bytes()),
    )
