"""Does the station scale its cameras' values as those were that the model learned from?"""

from __future__ import annotations

import logging

from pipeline.contracts.bundle import Bundle
from pipeline.contracts.spec import RawPixels
from pipeline.daemon.settings.line import Line
from pipeline.errors import BundleError

log = logging.getLogger(__name__)


def by_camera(line: Line) -> dict[str, RawPixels | None]:
    """What the values of each camera mean, by its name."""
    return {camera.name: camera.source.raw for camera in line.all_cameras}


def check(line: Line, bundle: Bundle) -> None:
    """Compare `raw` of all sources with that of the bundle.

    Raises:
        BundleError: the bundle has one and a source none or another.
    """
    learned = bundle.preprocess.raw
    for name, at_the_line in by_camera(line).items():
        if learned is None and at_the_line is not None:
            log.warning(
                "camera %s: source.raw is set, but the model learned from pictures of 8 bits; "
                "whether those were scaled alike is not checked",
                name,
            )
        elif at_the_line != learned:
            given = "none" if at_the_line is None else at_the_line.model_dump(exclude_none=True)
            assert learned is not None
            raise BundleError(
                f"camera {name}: source.raw is {given}, the model learned with "
                f"{learned.model_dump(exclude_none=True)} (`raw` in ingest.yaml); make them the "
                "same, or train again"
            )
