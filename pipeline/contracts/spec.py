"""What is done to the pixels of every image, in training and at the line alike."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.plugins import Strict


class Roi(Strict):
    """A rectangle of the image, in pixels of the original."""

    x_px: int = Field(ge=0, description="Left edge.")
    y_px: int = Field(ge=0, description="Top edge.")
    width_px: int = Field(gt=0, description="Width.")
    height_px: int = Field(gt=0, description="Height.")


class Clahe(Strict):
    """Contrast limited adaptive histogram equalisation (Zuiderveld 1994), on lightness only."""

    clip_limit: float = Field(2.0, gt=0, description="Higher gives more contrast and more noise.")
    tiles: int = Field(
        8, gt=0, le=64, description="The image is equalised in tiles x tiles fields."
    )


class PreprocessSpec(Strict):
    """Decode, colour, crop, resize, equalise: applied in this order by `pipeline.imaging`."""

    colour: Literal["grey", "rgb"] = Field("rgb", description="Channels kept.")
    roi: Roi | None = Field(None, description="Crop this rectangle first; none keeps the image.")
    width_px: int = Field(ge=8, le=4096, description="Width after resizing.")
    height_px: int = Field(ge=8, le=4096, description="Height after resizing.")
    fit: Literal["stretch", "letterbox"] = Field(
        "stretch", description="stretch fills the frame; letterbox keeps proportions and pads."
    )
    interpolation: Literal["nearest", "linear", "cubic", "area", "lanczos"] = Field(
        "area", description="OpenCV's interpolation; area is right for shrinking."
    )
    pad_value: int = Field(0, ge=0, le=255, description="Grey value of letterbox borders.")
    clahe: Clahe | None = Field(None, description="Local contrast; none leaves it as it is.")

    @property
    def channels(self) -> int:
        """1 for grey, 3 for rgb."""
        return 1 if self.colour == "grey" else 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of a prepared image."""
        return (self.height_px, self.width_px, self.channels)
