"""What is done to the pixels of every image, in training and at the line alike."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from pipeline.plugins import Strict

ReferenceName = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-z0-9_-]*$",
        description="A picture named under `references` in ingest.yaml; it travels in the bundle.",
    ),
]
Point = tuple[float, float]


def reference_file(name: str) -> str:
    """The file of a reference picture: in what ingest writes, beside the shards, in the bundle."""
    return f"reference-{name}.png"


class FlatField(Strict):
    """Division by a picture of an even grey target: uneven light and lens shading go."""

    reference: ReferenceName
    floor: int = Field(
        8,
        ge=1,
        le=128,
        description="Grey level, 0 to 255: darker pixels of the reference count as this level, "
        "which limits the gain.",
    )


class Roi(Strict):
    """A rectangle of the image, in pixels of the original."""

    x_px: int = Field(ge=0, description="Left edge, in pixels from the left.")
    y_px: int = Field(ge=0, description="Top edge, in pixels from the top.")
    width_px: int = Field(gt=0, description="Width in pixels.")
    height_px: int = Field(gt=0, description="Height in pixels.")


class Rectify(Strict):
    """A flat face seen at an angle becomes the rectangle that it is."""

    corners_px: tuple[Point, Point, Point, Point] = Field(
        description="Corners of the face in the picture (in the ROI where there is one), x and "
        "y in pixels: top left, top right, bottom right, bottom left."
    )
    width_px: int = Field(ge=8, le=8192, description="Width of the resulting rectangle in pixels.")
    height_px: int = Field(
        ge=8, le=8192, description="Height of the resulting rectangle in pixels."
    )

    @field_validator("corners_px")
    @classmethod
    def _goes_round(cls, corners: tuple[Point, ...]) -> tuple[Point, ...]:
        if any(value < 0 for corner in corners for value in corner):
            raise ValueError("a corner lies outside the picture: x and y start at 0")
        sides = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise((*corners, corners[0]))]
        turns = [a[0] * b[1] - a[1] * b[0] for a, b in pairwise((*sides, sides[0]))]
        if min(turns) <= 0:
            raise ValueError(
                "these corners do not go round a face: give top left, top right, bottom right, "
                "bottom left"
            )
        return corners


class _Locate(Strict):
    margin: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Surroundings kept on each side, as a share of the part's size.",
    )
    min_confidence: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Confidence, 0 to 1, below which the part counts as not found; such a part "
        "never passes.",
    )


class Contour(_Locate):
    """The part is the largest area that stands out from the background."""

    by: Literal["contour"]
    part: Literal["brighter", "darker"] = Field(
        description="Is the part brighter or darker than the background?"
    )
    upright: bool = Field(
        False, description="Turn the part, by at most 45 degrees, until its sides are level."
    )


class Template(_Locate):
    """The part is where the picture resembles a golden sample."""

    by: Literal["template"]
    reference: ReferenceName
    max_turn_deg: float = Field(
        0.0,
        ge=0,
        le=45,
        description="Largest rotation of parts to either side, in degrees; 0: parts are never "
        "turned.",
    )


class Unwrap(Strict):
    """A ring becomes a strip: angle runs along the width, from the right clockwise."""

    centre_px: Point | None = Field(
        None, description="Centre of the ring, x and y in pixels; none: the middle of the picture."
    )
    inner_px: float = Field(0.0, ge=0, description="Inner radius in pixels: the strip's last row.")
    outer_px: float = Field(
        gt=0, le=5200, description="Outer radius in pixels: the strip's first row."
    )

    @model_validator(mode="after")
    def _is_a_ring(self) -> Unwrap:
        if self.outer_px - self.inner_px < 1:
            raise ValueError(f"inner_px {self.inner_px} leaves no ring in {self.outer_px}")
        return self


class Tiles(Strict):
    """A large picture in parts, so that small defects keep their pixels."""

    rows: int = Field(1, ge=1, le=64, description="Number of tiles from top to bottom.")
    columns: int = Field(1, ge=1, le=64, description="Number of tiles from left to right.")
    overlap: float = Field(
        0.1,
        ge=0,
        le=0.5,
        description="Share of a tile that its neighbour shows too, so that a defect on the seam "
        "is whole in one of them.",
    )


class Clahe(Strict):
    """Contrast limited adaptive histogram equalisation (Zuiderveld 1994), on lightness only."""

    clip_limit: float = Field(
        2.0,
        gt=0,
        description="Limit of the contrast gain: a higher one gives more contrast and more noise.",
    )
    tiles: int = Field(
        8, gt=0, le=64, description="The image is equalised in tiles x tiles fields."
    )


class RawPixels(Strict):
    """What a sensor's own values mean, where a picture is not 8 bits a channel of grey or RGB."""

    bit_depth: int = Field(
        ge=8,
        le=16,
        description="Bits that the camera measures: 12 of a Mono12. Above 8, a file or stream "
        "holds 16 for each value.",
    )
    black: int = Field(0, ge=0, le=65534, description="Value that becomes 0.")
    white: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Value that becomes 255; none: the largest of `bit_depth` bits. A camera that "
        "moves its bits to the top of 16 needs its own, such as 65520 for 12.",
    )
    bayer: Literal["RGGB", "GRBG", "GBRG", "BGGR"] | None = Field(
        None,
        description="Colour filter of the sensor, by the first two colours of the first and second "
        "row (BayerRG12 is RGGB); none: there is none, or the camera has made colours of it.",
    )

    @model_validator(mode="after")
    def _is_a_range(self) -> RawPixels:
        if self.black >= self.white_value:
            raise ValueError(f"black {self.black} is not below white {self.white_value}")
        return self

    @property
    def white_value(self) -> int:
        """The value that becomes 255."""
        return (1 << self.bit_depth) - 1 if self.white is None else self.white

    @property
    def stored_bits(self) -> int:
        """Bits that a file or stream holds for each value."""
        return 8 if self.bit_depth == 8 else 16


class PreprocessSpec(Strict):
    """What happens between camera and network, always in the order in which it stands here."""

    raw: RawPixels | None = Field(
        None,
        description="How a sensor's values became 8 bits; taken from `raw` of ingest.yaml. A "
        "station's source must do the same.",
    )
    flat_field: FlatField | None = Field(
        None,
        description="Divide by a picture of an even grey target, to even out the light; none: "
        "no correction.",
    )
    roi: Roi | None = Field(
        None, description="Rectangle of the image to keep; none: the whole image."
    )
    rectify: Rectify | None = Field(
        None, description="Undo the perspective of a flat face; none: no change."
    )
    locate: Annotated[Contour | Template, Field(discriminator="by")] | None = Field(
        None, description="Find the part and keep what is around it; none: the whole picture."
    )
    unwrap: Unwrap | None = Field(
        None, description="Unroll a ring, such as a bearing's race, to a strip; none: no change."
    )
    colour: Literal["grey", "rgb"] = Field(
        "rgb", description="Channels kept: one for grey, three for rgb."
    )
    tiles: Tiles | None = Field(
        None,
        description="Judge the picture in tiles. With masks or boxes each learns what it shows and "
        "the worst decides; without, they are pooled (pooling in train.yaml). None: one image.",
    )
    width_px: int = Field(
        ge=8, le=4096, description="Width after resizing, of the image or of one tile, in pixels."
    )
    height_px: int = Field(
        ge=8, le=4096, description="Height after resizing, of the image or of one tile, in pixels."
    )
    fit: Literal["stretch", "letterbox"] = Field(
        "stretch", description="stretch fills the frame; letterbox keeps proportions and pads."
    )
    interpolation: Literal["nearest", "linear", "cubic", "area", "lanczos"] = Field(
        "area", description="OpenCV's interpolation when resizing; area suits shrinking."
    )
    pad_value: int = Field(
        0, ge=0, le=255, description="Grey level of letterbox borders, 0 to 255."
    )
    clahe: Clahe | None = Field(None, description="Local contrast equalisation; none: no change.")

    @model_serializer(mode="wrap")
    def _without_no_raw(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Stations older than this field refuse a key that they do not know."""
        written: dict[str, Any] = write(self)
        if self.raw is None:
            written.pop("raw", None)
        return written

    @property
    def channels(self) -> int:
        """1 for grey, 3 for rgb."""
        return 1 if self.colour == "grey" else 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of a prepared image, or of one tile of it."""
        return (self.height_px, self.width_px, self.channels)

    @property
    def n_tiles(self) -> int:
        """Images that the network sees of one part."""
        return self.tiles.rows * self.tiles.columns if self.tiles else 1

    @property
    def references(self) -> tuple[str, ...]:
        """Names of the pictures that this preparation needs."""
        light = (self.flat_field.reference,) if self.flat_field else ()
        golden = (self.locate.reference,) if isinstance(self.locate, Template) else ()
        return (*light, *golden)


class Preprocessing(Strict):
    """`conf/<recipe>/preprocess.yaml`."""

    spec: PreprocessSpec = Field(description="Preparation of every image, here and at the line.")
    sheet_per_class: int = Field(
        8, ge=1, le=32, description="Pictures of each class on contact.png."
    )
