"""Reads a camera in a thread of its own, so that the worker's heartbeat never waits for it.

The thread takes pictures as fast as they come: what a camera has to keep waiting grows old, and so
does every later one.
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

HELD = 4  # pictures that may wait to be taken; the worker is quick unless the disk stands still
MOST = 5000  # that may wait without their pictures: a disk that is too slow never catches up
END_S = 0.5  # for the thread to end; one that hangs in the driver is left behind
LEFT = 8  # threads of a camera that may hang; each keeps its memory and a connection to the camera

log = logging.getLogger(__name__)


class Mailbox:
    """Frames between the thread that reads and the worker that takes.

    No frame is dropped: when more than `HELD` wait, the oldest loses its picture and becomes a
    frame with a fault; when `MOST` wait, no more are read. So memory is bounded, what is judged is
    fresh, and every frame has its record.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._frames: deque[Frame] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._trouble: Exception | None = None
        self.last_s = clock.monotonic_s()  # when the last frame came, or the start

    @property
    def full(self) -> bool:
        """Do so many wait that no more are to be read?"""
        return len(self._frames) >= MOST

    def put(self, frame: Frame) -> None:
        """Called by the thread that reads."""
        with self._changed:
            self._frames.append(frame)
            self.last_s = self._clock.monotonic_s()
            if len(self._frames) > HELD:
                self._strip(len(self._frames) - HELD - 1)
            self._changed.notify()

    def end(self, trouble: Exception | None) -> None:
        """There will be no more frames, because of `trouble` or for good."""
        with self._changed:
            self._ended, self._trouble = True, trouble
            self._changed.notify()

    def take(self, seconds: float) -> Frame | None:
        """The oldest frame, waiting for it so long; None when none came.

        Raises:
            EOFError: all are taken and there will be no more.
            LinesideError: why there will be no more.
        """
        with self._changed:
            if not self._frames and not self._ended:
                self._changed.wait(seconds)
            if self._frames:
                return self._frames.popleft()
            if self._trouble is not None:
                raise self._trouble
            if self._ended:
                raise EOFError
            return None

    def _strip(self, i: int) -> None:
        frame = self._frames[i]
        if not frame.fault:
            fault = f"the station was busy while {HELD} newer pictures came"
            self._frames[i] = replace(frame, pixels=None, data=None, fault=fault)


def grabbed(
    read: Callable[[], Iterator[Frame]],
    name: str,
    heartbeat: Heartbeat,
    clock: Clock,
    *,
    first_s: float,
    next_s: float,
    threads: list[threading.Thread],
) -> Iterator[Frame]:
    """Yield what `read` yields in a thread of its own, until `heartbeat.stopping`.

    Args:
        read: connects and yields frames; blocks as long as it likes.
        name: of the camera, in messages.
        heartbeat: of the worker that takes.
        clock: the time.
        first_s: how long the first frame may take.
        next_s: how long each further one may take.
        threads: of this camera, from one call to the next; empty before the first.

    Raises:
        SourceLost: `read` raised it or ended, no frame came in time, so many came that their
            records cannot be opened, or too many threads hang in it.
    """
    threads[:] = [thread for thread in threads if thread.is_alive()]
    if len(threads) >= LEFT:
        raise SourceLost(
            f"{name} is not connected anew: {len(threads)} former attempts hang in its driver; if "
            "they do not end, switch the camera off and on, or start the station anew"
        )
    box, leave = Mailbox(clock), threading.Event()

    def leaving() -> bool:
        # A worker that hangs was told to end, but cannot tell its thread.
        return leave.is_set() or heartbeat.stopping

    thread = threading.Thread(target=_fill, args=(box, read, leaving), name=name, daemon=True)
    threads.append(thread)
    thread.start()
    limit_s = first_s
    try:
        while not heartbeat.stopping:
            heartbeat.beat()
            left_s = box.last_s + limit_s - clock.monotonic_s()
            try:
                frame = box.take(max(0.0, min(left_s, BEAT_EVERY_S)))
            except EOFError:
                raise SourceLost(f"{name} has ended the stream") from None
            if frame is not None:
                limit_s = next_s
                yield frame
            elif left_s <= 0:
                raise SourceLost(f"{name} sent no picture for {limit_s:g} s")
    finally:
        leave.set()
        thread.join(END_S)


def _fill(box: Mailbox, read: Callable[[], Iterator[Frame]], leaving: Callable[[], bool]) -> None:
    try:
        for frame in read():
            if leaving():
                return
            box.put(frame)
            if box.full:
                raise SourceLost(
                    f"pictures come faster than their records can be written: {MOST} wait"
                )
    except LinesideError as error:
        box.end(error)
    except Exception as error:  # a bug, or a driver's: without it the camera would seem silent
        # Without its text, which may hold the camera's address with the password.
        where = "".join(traceback.format_tb(error.__traceback__))
        log.error("reading failed: %s\n%s", type(error).__name__, where)
        box.end(SourceLost(f"reading failed: {type(error).__name__}"))
    else:
        box.end(None)
