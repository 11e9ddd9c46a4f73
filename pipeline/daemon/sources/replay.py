"""A folder of images as a camera: sorted by name, at a fixed rate or flat out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from pipeline.daemon.clock import Clock
from pipeline.daemon.pulse import Pulse
from pipeline.daemon.sources import Frame, Source, SourceConfig
from pipeline.errors import DataError, printable
from pipeline.imaging import codec


class Config(SourceConfig):
    """Settings of a replay."""

    type: Literal["replay"] = Field(description="replay")
    path: Path = Field(description="Folder with images, searched with all folders below it.")
    rate_hz: float = Field(0, ge=0, le=1000, description="Frames a second; 0: flat out.")
    loop: bool = Field(False, description="Begin again at the end, for ever.")

    def open(self, clock: Clock) -> Replay:
        """List the images once; those that vanish later are recorded as not inspected."""
        return Replay(self, clock)


class Replay(Source):
    """An opened folder. No file is skipped: what cannot be decoded is a frame with a fault."""

    def __init__(self, config: Config, clock: Clock) -> None:
        """List the images of the folder.

        Raises:
            DataError: the folder is missing or holds no image.
        """
        folder = config.path
        if not folder.is_dir():
            raise DataError(
                f"source.path {folder} is no folder; the demo's images come from `make repro`, "
                "your own from any folder of images"
            )
        self._paths = sorted(
            p for p in folder.rglob("*") if p.suffix.lower() in codec.SUFFIXES and p.is_file()
        )
        if not self._paths:
            raise DataError(
                f"source.path {folder} holds no image; known are {' '.join(sorted(codec.SUFFIXES))}"
            )
        self.live = config.rate_hz > 0
        self._config = config
        self._clock = clock

    def frames(self, pulse: Pulse) -> Iterator[Frame]:
        """Yield each file in turn."""
        clock, period_s = self._clock, 1 / self._config.rate_hz if self._config.rate_hz else 0.0
        due_s = clock.monotonic_s()
        while True:
            for path in self._paths:
                if pulse.wait(due_s - clock.monotonic_s()):
                    return
                yield self._frame(path)
                # Time lost is not caught up in a burst: a camera's next part comes no sooner.
                due_s = max(due_s + period_s, clock.monotonic_s())
            if not self._config.loop:
                return

    def _frame(self, path: Path) -> Frame:
        at, captured_s = self._clock.now(), self._clock.monotonic_s()
        # A name need not be UTF-8, but the ledger's text is.
        serial = printable(path.relative_to(self._config.path).as_posix())
        fault, data = "", None
        try:
            data = path.read_bytes()
        except OSError as error:
            fault = f"{printable(str(path))} cannot be read: {error.strerror}"
        return Frame(at, captured_s, serial, None, fault, data, path.suffix.lower())
