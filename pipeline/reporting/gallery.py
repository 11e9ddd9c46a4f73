"""Galleries as a page shows them: each picture is its own address, so the page stays one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.contracts.gallery import Gallery, PartPicture
from pipeline.errors import DataError
from pipeline.imaging.image_size import size_px
from pipeline.reporting.template import data_uri


@dataclass(frozen=True)
class ShownPicture:
    """A picture with what stands below it.

    Attributes:
        picture: what it shows.
        source: the address of the picture.
        heat: that of its heat map, "" where there is none.
        width, height: of the picture, in pixels.
    """

    picture: PartPicture
    source: str
    heat: str
    width: int
    height: int

    @property
    def alt_text(self) -> str:
        """The caption in one line, for those who do not see the picture."""
        p = self.picture
        return f"{p.sample_id}: {p.verdict}, score {p.score:.3f}, label {p.label}"


@dataclass(frozen=True)
class GalleryView:
    """A gallery with its pictures.

    Attributes:
        gallery: its title and lead.
        figures: in its order: surest first or, at a limit, by score.
    """

    gallery: Gallery
    figures: tuple[ShownPicture, ...]

    @property
    def count(self) -> str:
        """`7`, or `24 of 110` where there are more than are shown."""
        shown, n = len(self.figures), self.gallery.n
        return f"{n}" if shown == n else f"{shown} of {n}"

    @property
    def has_heat(self) -> bool:
        """Is there a heat map to switch on?"""
        return any(figure.heat for figure in self.figures)

    @property
    def orders(self) -> dict[str, str]:
        """Orders to choose from, by their name in the script; none for fewer than two parts."""
        if self.gallery.kind == "limit" or len(self.figures) < 2:
            return {}
        near = "closest call" if self.gallery.kind == "classes" else "nearest to the limit"
        return {"surest": "surest first", "nearest": f"{near} first"}


def views(galleries: Sequence[Gallery], folder: Path) -> list[GalleryView]:
    """Read the pictures of galleries from the folder that holds them.

    Raises:
        DataError: one is missing or is not a picture.
    """
    return [
        GalleryView(gallery, tuple(_shown(picture, folder) for picture in gallery.pictures))
        for gallery in galleries
    ]


def _shown(picture: PartPicture, folder: Path) -> ShownPicture:
    data = _read(folder / picture.file)
    size = size_px(data)
    if size is None:
        raise DataError(f"{folder / picture.file} is not a picture: run `dvc repro evaluate`")
    heat = data_uri(_read(folder / picture.heat), "image/jpeg") if picture.heat else ""
    return ShownPicture(picture, data_uri(data, "image/jpeg"), heat, *size)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}, a picture of the report, cannot be read ({error.strerror}): run `dvc repro "
            "evaluate`"
        ) from error
