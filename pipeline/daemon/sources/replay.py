"""A folder of images, or a video, as a camera: at a fixed rate, as recorded, or flat out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sources import Frame, Source, SourceConfig
from pipeline.errors import DataError, SourceLost, printable
from pipeline.imaging import codec, video

FITTING = "fitting"
MEASURED_S, FEWEST = 3.0, 20  # of a replay whose pace is to fit, and how many frames
WITH_SPARE = 1.5  # times what a frame takes
MOST_HZ = 20.0

log = logging.getLogger(__name__)


class Config(SourceConfig):
    """Settings of a replay."""

    type: Literal["replay"] = Field(description="replay")
    path: Path = Field(
        description="Folder with images, including all folders below it; or a video file."
    )
    rate_hz: Annotated[float, Field(ge=0, le=1000)] | Literal["recorded", "fitting"] = Field(
        0.0,
        description="Frames per second; 0: as fast as possible; recorded: at the speed of the "
        "video; fitting: what this machine inspects with a third to spare, 20 at most, which the "
        "first seconds measure.",
    )
    loop: bool = Field(False, description="Start again at the end, indefinitely.")

    @property
    def live(self) -> bool:
        """Only with a pace of its own: without one it waits until there is room."""
        return self.rate_hz not in (0, "fitting")

    def open(self, clock: Clock) -> Replay | VideoReplay:
        """List the images once; those that vanish later are recorded as not inspected."""
        return VideoReplay(self, clock) if self.path.is_file() else Replay(self, clock)


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
                f"source.path {folder} is not a folder; the demo's images come from `make repro`, "
                "your own from any folder of images"
            )
        if config.rate_hz == "recorded":
            raise DataError(f"source.rate_hz: recorded is for a video; {folder} is a folder")
        self._paths = sorted(
            p for p in folder.rglob("*") if p.suffix.lower() in codec.SUFFIXES and p.is_file()
        )
        if not self._paths:
            raise DataError(
                f"source.path {folder} holds no image; known are {' '.join(sorted(codec.SUFFIXES))}"
            )
        self.live = config.live
        self._config = config
        self._pace = _Pace(clock, config.rate_hz)
        self._clock = clock

    def frames(self, heartbeat: Heartbeat) -> Iterator[Frame]:
        """Yield each file in turn."""
        self._pace.begin()
        while True:
            for path in self._paths:
                if self._pace.wait(heartbeat):
                    return
                yield self._frame(path)
                self._pace.done()
            if not self._config.loop:
                return

    def _frame(self, path: Path) -> Frame:
        # A name need not be UTF-8, but the ledger's text is.
        serial = printable(path.relative_to(self._config.path).as_posix())
        fault, data = "", None
        try:
            data = path.read_bytes()
        except OSError as error:
            fault = f"{printable(str(path))} cannot be read: {error.strerror}"
        # Only now: a camera's picture would be in memory at its capture.
        at, captured_s = self._clock.now(), self._clock.monotonic_s()
        return Frame(at, captured_s, serial, None, fault, data, path.suffix.lower())


class VideoReplay(Source):
    """An opened video; its pictures' serials are their numbers, from 0."""

    def __init__(self, config: Config, clock: Clock) -> None:
        """Check that there is a picture in it.

        Raises:
            DataError: it is not a video.
            MissingExtra: the package for videos is not installed.
        """
        self._name = printable(str(config.path))
        video.require(f"source.path {self._name}, a video,")
        try:
            faults = list[str]()
            found = False
            for picture in self._pictures(config):
                if found := picture.pixels is not None:
                    break
                faults.append(picture.fault)
        except SourceLost as error:
            raise DataError(f"source.path is neither a folder nor a video: {error}") from None
        if not found:
            why = f": {faults[0]}" if faults else ""
            raise DataError(f"source.path {self._name} holds no picture that can be decoded{why}")
        self.live = config.live
        self._config = config
        self._pace = _Pace(clock, 0 if config.rate_hz == "recorded" else config.rate_hz)
        self._clock = clock

    def frames(self, heartbeat: Heartbeat) -> Iterator[Frame]:
        """Yield each picture in turn."""
        recorded = self._config.rate_hz == "recorded"
        while True:
            self._pace.begin()
            for i, picture in enumerate(self._pictures(self._config)):
                if self._pace.wait(heartbeat, picture.at_s if recorded else None):
                    return
                at, captured_s = self._clock.now(), self._clock.monotonic_s()
                yield Frame(at, captured_s, f"{i:06}", picture.pixels, picture.fault)
                self._pace.done()
            if not self._config.loop:
                return

    def _pictures(self, config: Config) -> Iterator[video.VideoFrame]:
        # Without the protocol a name like `http:x` would be opened as a URL.
        # A file may also be a playlist, which must not open anything else.
        return video.frames(
            f"file:{config.path}",
            self._name,
            options={"protocol_whitelist": "file"},
            raw=config.raw,
        )


class _Pace:
    """When the next frame is due. Lost time is not caught up in a burst."""

    def __init__(self, clock: Clock, rate_hz: float | str) -> None:
        self._clock = clock
        self._taken_s: list[float] | None = [] if rate_hz == FITTING else None
        self._period_s = 0.0 if not rate_hz or isinstance(rate_hz, str) else 1 / rate_hz
        self._start_s = self._due_s = 0.0

    def begin(self) -> None:
        """Start the schedule now, or when the next frame is due."""
        self._start_s = self._due_s = max(self._due_s, self._clock.monotonic_s())

    def wait(self, heartbeat: Heartbeat, at_s: float | None = None) -> bool:
        """Sleep until the frame is due, or until `at_s` after the start; returns `stopping`."""
        due_s = self._due_s if at_s is None else self._start_s + at_s
        late_s = self._clock.monotonic_s() - due_s
        self._start_s += max(0.0, late_s)
        return heartbeat.wait(-late_s)

    def done(self) -> None:
        """Schedule the next frame after this one was taken."""
        now_s = self._clock.monotonic_s()
        if self._taken_s is not None:
            self._measure(self._taken_s, now_s)
        self._due_s = max(self._due_s + self._period_s, now_s)

    def _measure(self, taken_s: list[float], now_s: float) -> None:
        """Note when a frame was taken; after some seconds that gives the pace.

        Only the second half counts: the first frames are taken at once, into an empty queue.
        """
        taken_s.append(now_s)
        if now_s - taken_s[0] < MEASURED_S or len(taken_s) < FEWEST:
            return
        half_s = taken_s[len(taken_s) // 2 :]
        each_s = (half_s[-1] - half_s[0]) / (len(half_s) - 1)
        self._period_s = max(each_s * WITH_SPARE, 1 / MOST_HZ)
        self._taken_s = None
        log.info("replays %.1f frames a second from now on", 1 / self._period_s)
