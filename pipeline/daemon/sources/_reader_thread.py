"""Reads a camera in its own thread, so that a blocking read never stops the worker's heartbeat.

The thread reads pictures as fast as they come: a picture left in the camera's own buffer grows old,
and so does every later one.
"""

from __future__ import annotations

import logging
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace

from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import BEAT_EVERY_S, Heartbeat
from pipeline.daemon.sources import Frame
from pipeline.errors import LinesideError, SourceLost

MAX_PICTURES = 4  # that may wait to be taken; the worker is quick unless the disk stands still
MAX_FRAMES = 5000  # that may wait, most without pictures: a disk that is too slow never catches up
JOIN_TIMEOUT_S = 0.5  # for the thread to end; one that hangs in the driver is abandoned
MAX_HUNG_THREADS = 8  # of one camera; each keeps its memory and a connection to the camera

log = logging.getLogger(__name__)


class LatestFrames:
    """Frames between the reader thread and the worker; only the latest keep their pictures.

    No frame is dropped: when more than `MAX_PICTURES` wait, the oldest loses its picture and
    becomes a frame with a fault; when `MAX_FRAMES` wait, no more are read. So memory is bounded,
    judged frames are fresh, and every frame has its record.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._frames: deque[Frame] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._failure: Exception | None = None
        self.last_s = clock.monotonic_s()  # when the last frame came, or the start

    @property
    def full(self) -> bool:
        """Are `MAX_FRAMES` frames waiting?"""
        return len(self._frames) >= MAX_FRAMES

    def put(self, frame: Frame) -> None:
        """Add a frame; called by the reader thread."""
        with self._changed:
            self._frames.append(frame)
            self.last_s = self._clock.monotonic_s()
            if len(self._frames) > MAX_PICTURES:
                self._strip(len(self._frames) - MAX_PICTURES - 1)
            self._changed.notify()

    def end(self, failure: Exception | None) -> None:
        """Mark the end: no more frames come, because of `failure` or because the stream ended."""
        with self._changed:
            self._ended, self._failure = True, failure
            self._changed.notify()

    def take(self, seconds: float) -> Frame | None:
        """The oldest frame, waiting at most `seconds` for it; None when none came.

        Raises:
            EOFError: all are taken and the stream has ended.
            LinesideError: all are taken and reading has failed.
        """
        with self._changed:
            if not self._frames and not self._ended:
                self._changed.wait(seconds)
            if self._frames:
                return self._frames.popleft()
            if self._failure is not None:
                raise self._failure
            if self._ended:
                raise EOFError
            return None

    def _strip(self, i: int) -> None:
        frame = self._frames[i]
        if not frame.fault:
            fault = f"the station was busy while {MAX_PICTURES} newer pictures came"
            self._frames[i] = replace(frame, pixels=None, data=None, fault=fault)


def read_in_thread(
    read: Callable[[], Iterator[Frame]],
    name: str,
    heartbeat: Heartbeat,
    clock: Clock,
    *,
    first_s: float,
    next_s: float,
    threads: list[threading.Thread],
) -> Iterator[Frame]:
    """Run `read` in its own thread and yield its frames, until `heartbeat.stopping`.

    Args:
        read: connects and yields frames; it may block.
        name: of the camera, in messages.
        heartbeat: of the worker that takes the frames.
        clock: measures the limits.
        first_s: how long the first frame may take.
        next_s: how long each further one may take.
        threads: reader threads of this camera that are still alive, kept from call to call.

    Raises:
        SourceLost: `read` raised it or ended, no frame came in time, frames came faster than their
            records can be opened, or too many of its threads hang.
    """
    threads[:] = [thread for thread in threads if thread.is_alive()]
    if len(threads) >= MAX_HUNG_THREADS:
        raise SourceLost(
            f"{name} is not connected again: {len(threads)} former attempts hang in its driver; if "
            "they do not end, switch the camera off and on, or restart the station"
        )
    latest, stop = LatestFrames(clock), threading.Event()

    def stopping() -> bool:
        # A hung worker is asked to stop by its heartbeat and never reaches `stop.set()`.
        return stop.is_set() or heartbeat.stopping

    thread = threading.Thread(target=_fill, args=(latest, read, stopping), name=name, daemon=True)
    threads.append(thread)
    thread.start()
    limit_s = first_s
    try:
        while not heartbeat.stopping:
            heartbeat.beat()
            left_s = latest.last_s + limit_s - clock.monotonic_s()
            try:
                frame = latest.take(max(0.0, min(left_s, BEAT_EVERY_S)))
            except EOFError:
                raise SourceLost(f"{name} has ended the stream") from None
            if frame is not None:
                limit_s = next_s
                yield frame
            elif left_s <= 0:
                raise SourceLost(f"{name} sent no picture for {limit_s:g} s")
    finally:
        stop.set()
        thread.join(JOIN_TIMEOUT_S)


def _fill(
    latest: LatestFrames, read: Callable[[], Iterator[Frame]], stopping: Callable[[], bool]
) -> None:
    try:
        for frame in read():
            if stopping():
                return
            latest.put(frame)
            if latest.full:
                raise SourceLost(
                    f"pictures come faster than their records can be written: {MAX_FRAMES} wait"
                )
    except LinesideError as error:
        latest.end(error)
    except (
        Exception
    ) as error:  # a bug, here or in a driver; without it the camera would seem silent
        # The error's text is left out: it may contain the camera's URL with the password.
        where = "".join(traceback.format_tb(error.__traceback__))
        log.error("reading failed: %s\n%s", type(error).__name__, where)
        latest.end(SourceLost(f"reading failed: {type(error).__name__}"))
    else:
        latest.end(None)
