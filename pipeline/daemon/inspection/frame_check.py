"""Is what a camera gives a picture of the part at all? Asked before anything is prepared.

What a healthy picture looks like to the model (light, sharpness) is the bundle's to say.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, field_validator

from pipeline.daemon.sources import Frame
from pipeline.imaging import Pixels
from pipeline.imaging.stillness import Stillness
from pipeline.plugins import Strict


class Health(Strict):
    """When a camera's frame is no picture of the part."""

    frozen_after: int = Field(
        5,
        ge=0,
        description="So many identical pictures in a row from a live source are a frozen one; 0: "
        "any number may be. A motionless scene in a strongly compressed video stream looks frozen.",
    )
    size_px: tuple[int, int] | None = Field(
        None, description="Width and height that every frame must have; none: any."
    )

    @field_validator("frozen_after")
    @classmethod
    def _more_than_one(cls, limit: int) -> int:
        if limit == 1:
            raise ValueError("1 would call every picture frozen; give 2 or more, or 0 for never")
        return limit


class HealthGate:
    """The health of every camera's frames, asked by the inspection; for one thread."""

    def __init__(self, cameras: Mapping[str, FrameHealth]) -> None:
        self._cameras = cameras
        self._last: dict[str, tuple[float, str | None]] = {}

    def __call__(self, camera: str, frame: Frame, pixels: Pixels) -> str | None:
        """Why a camera's frame is not to be inspected, or None.

        A frame that a second trigger found before the camera gave another is the same picture, no
        further one that stands still: what was said of it holds.
        """
        captured_s, said = self._last.get(camera, (None, None))
        if captured_s != frame.captured_s:
            said = self._cameras[camera].complaint(pixels)
            self._last[camera] = frame.captured_s, said
        return said


class FrameHealth:
    """The frames of one camera, in the order in which they came; for one thread."""

    def __init__(self, settings: Health, *, live: bool) -> None:
        """Begin.

        Args:
            settings: of the line file.
            live: does the source go on by itself? A replay may well hold a picture twice.
        """
        self._settings = settings
        self._stillness = Stillness() if live and settings.frozen_after else None

    def complaint(self, pixels: Pixels) -> str | None:
        """Why a frame is not to be inspected, or None.

        Args:
            pixels: uint8 height x width x 3, not altered any more. A frame that is inspected twice
                must be given as the same array, or it looks frozen.
        """
        height, width = pixels.shape[:2]
        if self._settings.size_px not in (None, (width, height)):
            expected = "x".join(str(n) for n in self._settings.size_px or ())
            return f"wrong size: {width}x{height} px, expected {expected}"
        if self._stillness is not None:
            run, limit = self._stillness.same(pixels), self._settings.frozen_after
            if run >= limit:
                return f"frozen: {run} identical pictures in a row (limit {limit})"
        return None
