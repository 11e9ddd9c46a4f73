"""Frames that the station keeps: what people will review and the next model will learn from."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from queue import Full, Queue, SimpleQueue
from typing import Self

from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.line import Keep
from pipeline.daemon.sources import Frame
from pipeline.errors import UnreadableImage
from pipeline.files import write_whole
from pipeline.imaging.codec import encode_png

BACKLOG = 64  # frames; a longer one costs memory, and a disk that is too slow never catches up

log = logging.getLogger(__name__)


class Keeper:
    """Writes frames to `<folder>/<day in UTC>/<record id><ending>`, in a thread of its own.

    Encoding 12 MP as PNG takes some 0.4 s, and the next part does not wait. Frames are written
    while the keeper is used as a context, whose end waits for those offered; a kill loses them.
    `offer` and `kept` are for one thread, the station's.

    Attributes:
        left_out: frames that were wanted and not kept since too many were waiting.
    """

    def __init__(self, settings: Keep) -> None:
        self.left_out = 0
        self._settings = settings
        self._waiting: Queue[tuple[Frame, Record] | None] = Queue(BACKLOG)
        self._written: SimpleQueue[tuple[str, str]] = SimpleQueue()

    def __enter__(self) -> Self:
        # A second Ctrl-C, at a disk that hangs, must still end the process: hence a daemon.
        self._worker = threading.Thread(target=self._work, name="keeper", daemon=True)
        self._worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.put(None)
        self._worker.join()

    def wants(self, record: Record) -> bool:
        """Is the frame of this record to be kept? The same record always gets the same answer."""
        if record.verdict is Verdict.PASS:
            drawn = int.from_bytes(hashlib.sha256(record.id.encode()).digest()[:8]) / 2**64
            return drawn < self._settings.pass_share
        return record.verdict.value in self._settings.verdicts

    def offer(self, frame: Frame, record: Record) -> None:
        """Have the frame of a closed record written, if it is wanted; waits for nothing."""
        if not self.wants(record) or (frame.data is None and frame.pixels is None):
            return
        if frame.data is not None:
            frame = replace(frame, pixels=None)  # less memory while it waits
        try:
            self._waiting.put_nowait((frame, record))
        except Full:
            self.left_out += 1
            log.warning(
                "the frame of %s was not kept: %d others wait to be written (%d left out so far)",
                *(record.id, BACKLOG, self.left_out),
            )

    def kept(self) -> Iterator[tuple[str, str]]:
        """Yield what was written since the last call: record id, POSIX path below the folder."""
        while not self._written.empty():
            yield self._written.get()

    def _work(self) -> None:
        while (offered := self._waiting.get()) is not None:
            frame, record = offered
            # Keeping decides nothing about a part: whatever goes wrong here, the line goes on.
            try:
                path = self._write(frame, record)
            except (OSError, UnreadableImage) as error:
                log.warning("the frame of %s was not kept: %s", record.id, error)
            except Exception:
                log.exception("the frame of %s was not kept", record.id)
            else:
                self._written.put((record.id, path))

    def _write(self, frame: Frame, record: Record) -> str:
        """Write the camera's own file, or its pixels as PNG; returns the path below the folder."""
        data, ending = frame.data, frame.ending
        if data is None:
            assert frame.pixels is not None  # `offer` saw to it
            data, ending = encode_png(frame.pixels), ".png"
        path = f"{record.captured_at[:10]}/{record.id}{ending}"
        write_whole(self._settings.folder / path, data)
        return path
