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

    def put_back(self, frame: Frame) -> None:
        """Return a frame that was taken and is not used; it is the next one again."""
        with self._changed:
            self._frames.appendleft(frame)
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


class ReaderThread:
    """Reads one camera in a thread that goes on when the worker that takes the frames ends.

    So frames that come while a station is reloaded, or a worker is replaced, wait for the next
    worker. `close` ends the thread.
    """

    def __init__(
        self,
        read: Callable[[], Iterator[Frame]],
        name: str,
        clock: Clock,
        *,
        first_s: float,
        next_s: float,
    ) -> None:
        """Nothing is read yet.

        Args:
            read: connects and yields frames; it may block.
            name: of the camera, in messages.
            clock: measures the limits.
            first_s: how long the first frame may take.
            next_s: how long each further one may take.
        """
        self._read = read
        self._name = name
        self._clock = clock
        self._first_s, self._next_s = first_s, next_s
        self._limit_s = first_s
        self._latest: LatestFrames | None = None
        self._stop = threading.Event()
        self._threads: list[
            threading.Thread
        ] = []  # that are still alive, former ones that hang, too

    def frames(self, heartbeat: Heartbeat) -> Iterator[Frame]:
        """Yield frames until `heartbeat.stopping`, from the thread that runs or from a new one.

        Raises:
            SourceLost: `read` raised it or ended, no frame came in time, frames came faster than
                their records can be opened, or too many of its threads hang. The thread is ended.
        """
        latest = self._latest or self._start()
        try:
            while not heartbeat.stopping:
                heartbeat.beat()
                left_s = latest.last_s + self._limit_s - self._clock.monotonic_s()
                try:
                    frame = latest.take(max(0.0, min(left_s, BEAT_EVERY_S)))
                except EOFError:
                    raise SourceLost(f"{self._name} has ended the stream") from None
                if frame is not None:
                    if heartbeat.stopping:
                        latest.put_back(frame)
                        return
                    self._limit_s = self._next_s
                    yield frame
                elif left_s <= 0:
                    raise SourceLost(f"{self._name} sent no picture for {self._limit_s:g} s")
        except LinesideError:
            if self._latest is latest:  # an abandoned worker ends no thread of its replacement
                self.close()
            raise

    def close(self) -> None:
        """End the thread; one that hangs is abandoned."""
        self._latest = None
        self._stop.set()
        if self._threads:
            self._threads[-1].join(JOIN_TIMEOUT_S)

    def _start(self) -> LatestFrames:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        if (hung := len(self._threads)) >= MAX_HUNG_THREADS:
            raise SourceLost(
                f"{self._name} is not connected again: {hung} former attempts hang in its driver; "
                "if they do not end, switch the camera off and on, or restart the station"
            )
        self._latest, self._stop = LatestFrames(self._clock), threading.Event()
        self._limit_s = self._first_s
        filling = (self._latest, self._read, self._stop.is_set)
        thread = threading.Thread(target=_fill, args=filling, name=self._name, daemon=True)
        self._threads.append(thread)
        thread.start()
        return self._latest


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
