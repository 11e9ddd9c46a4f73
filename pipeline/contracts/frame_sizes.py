"""Which sizes the pictures had that a model has learned from."""

from __future__ import annotations

import math

from pydantic import Field, model_validator

from pipeline.plugins import Strict


class FrameSizes(Strict):
    """The range of training pictures' shapes and sizes.

    The preparation brings a picture of any size to the network's. One of another shape or scale
    shows a part distorted, several parts, or a piece of one: the network has never seen that.
    """

    least_aspect: float = Field(gt=0, description="Smallest width divided by height.")
    largest_aspect: float = Field(gt=0, description="Largest width divided by height.")
    least_px: float = Field(gt=0, description="Smallest root of width times height, in pixels.")
    largest_px: float = Field(gt=0, description="Largest root of width times height, in pixels.")

    @model_validator(mode="after")
    def _ordered(self) -> FrameSizes:
        if self.least_aspect > self.largest_aspect or self.least_px > self.largest_px:
            raise ValueError("the smallest value is larger than the largest one")
        return self

    def difference(self, width: int, height: int, tolerance: float) -> str:
        """How a picture differs from all of training, in words; "" where it does not.

        Args:
            width: of the picture, in pixels.
            height: of the picture, in pixels.
            tolerance: share by which shape and scale may lie outside the range, such as 0.2.
        """
        aspect, scale, wider = width / height, math.sqrt(width * height), 1 + tolerance
        if not self.least_aspect / wider <= aspect <= self.largest_aspect * wider:
            seen = _range(self.least_aspect, self.largest_aspect, ".2f")
            return f"its width is {aspect:.2f} times its height, in training it was {seen}"
        if not self.least_px / wider <= scale <= self.largest_px * wider:
            seen = _range(self.least_px, self.largest_px, ".0f")
            return f"it is as large as a square of {scale:.0f} px, in training it was {seen}"
        return ""


def _range(least: float, largest: float, form: str) -> str:
    lower, upper = f"{least:{form}}", f"{largest:{form}}"
    return lower if lower == upper else f"{lower} to {upper}"
