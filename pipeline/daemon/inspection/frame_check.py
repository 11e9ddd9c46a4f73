"""Is a frame a picture of the part at all? Checked before anything is prepared.

Which light and sharpness the model has learned from is recorded in its bundle and checked there.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.contracts.frame_sizes import FrameSizes
from pipeline.daemon.settings.line import FrameCheckSettings
from pipeline.daemon.sources import Frame
from pipeline.imaging import Pixels
from pipeline.imaging.stillness import Stillness


class FrameGate:
    """Checks the frames of all cameras for the inspection worker; for one thread."""

    def __init__(self, cameras: Mapping[str, FrameCheck]) -> None:
        self._cameras = cameras
        self._last: dict[str, tuple[float, str | None]] = {}

    def __call__(self, camera: str, frame: Frame, pixels: Pixels) -> str | None:
        """The reason why a camera's frame is not to be inspected, or None.

        Two triggers may find the same frame. It is checked once: its second use is not a further
        identical picture.
        """
        captured_s, reason = self._last.get(camera, (None, None))
        if captured_s != frame.captured_s:
            reason = self._cameras[camera].reason(pixels)
            self._last[camera] = frame.captured_s, reason
        return reason


class FrameCheck:
    """Checks the frames of one camera, in the order of their capture; for one thread."""

    def __init__(self, settings: FrameCheckSettings, *, live: bool) -> None:
        """Start without a previous frame.

        Args:
            settings: `health` of the line file.
            live: does the source run by itself? A replay may well hold a picture twice.
        """
        self._settings = settings
        self._stillness = Stillness() if live and settings.frozen_after else None

    def reason(self, pixels: Pixels) -> str | None:
        """The reason why a frame is not to be inspected, or None.

        Args:
            pixels: uint8 height x width x 3, never changed after this call. A frame that is
                inspected twice must be passed as the same array, or it looks frozen.
        """
        height, width = pixels.shape[:2]
        if self._settings.size_px not in (None, (width, height)):
            expected = "x".join(str(n) for n in self._settings.size_px or ())
            return f"wrong size: {width}x{height} px, expected {expected}"
        if self._stillness is not None:
            run, limit = self._stillness.same(pixels), self._settings.frozen_after
            if run >= limit:
                return (
                    f"frozen: {run} identical pictures in a row (limit {limit}; to commission with "
                    "one picture set `health.frozen_after: 0`)"
                )
        return None


def wrong_size(pixels: Pixels, sizes: FrameSizes | None, tolerance: float | None) -> str:
    """The reason why a frame of this size is not to be inspected, "" where it may be.

    Args:
        pixels: uint8 height x width x 3.
        sizes: of the pictures that the model has learned from; None where the bundle has none.
        tolerance: how far a size may differ from them, as a share; None: as far as it likes.
    """
    if sizes is None or tolerance is None:
        return ""
    height, width = pixels.shape[:2]
    difference = sizes.difference(width, height, tolerance)
    return difference and (
        f"wrong size: {width}x{height} px; {difference} (`health.size_tolerance` {tolerance:g})"
    )
