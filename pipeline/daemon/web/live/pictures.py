"""Small pictures of parts: of the last ones from memory, of others from the kept frames."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from contextlib import suppress

from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.sources import Frame
from pipeline.daemon.web.records import KeptRecords
from pipeline.errors import UnreadableImage
from pipeline.imaging import Pixels, codec
from pipeline.imaging.sheet import thumbnail

SMALL_PX, LARGE_PX = 240, 1024  # longest side, in a row of parts and alone
HELD, HELD_BYTES = 12, 64_000_000  # frames whose files may not be written yet
REMEMBERED = 256  # small pictures, of some 20 kB each
LAST_PRIORITY = 19  # of Linux's, which it has for each thread


class SmallPictures:
    """Makes small pictures when they are asked for. Thread-safe."""

    def __init__(self, archive: KeptRecords) -> None:
        self._archive = archive
        self._lock = threading.Lock()
        self._making = threading.Lock()  # one at a time: the cores are for the inspection
        self._passed: tuple[str, Frame] | None = None
        self._held: OrderedDict[str, Frame] = OrderedDict()
        self._made: OrderedDict[tuple[str, int], bytes] = OrderedDict()

    def hold(self, record: Record, frame: Frame | None) -> None:
        """Hold on to the frame of a part: the last PASS, and some of the others; quick."""
        if frame is None:
            return
        with self._lock:
            if record.verdict is Verdict.PASS:
                self._passed = record.id, frame
                return
            self._held[record.id] = frame
            while len(self._held) > 1 and (
                len(self._held) > HELD or sum(map(_size_bytes, self._held.values())) > HELD_BYTES
            ):
                self._held.popitem(last=False)

    def pixels(self, identity: str) -> Pixels | None:
        """The whole picture of a record, uint8 RGB; None where there is none, or no longer.

        Raises:
            LedgerError: the ledger cannot be read.
            UnreadableImage: it cannot be decoded.
        """
        with self._lock:
            frame = self._held.get(identity)
            if frame is None and self._passed is not None and self._passed[0] == identity:
                frame = self._passed[1]
        if frame is not None:
            return frame.decoded()
        found = self._archive.frame(identity)
        if found is None:
            return None
        with found[0] as file:
            return codec.decode(file.readall(), f"the frame of record {identity}")

    def small(self, identity: str, side_px: int) -> bytes | None:
        """A JPEG whose longest side is at most `side_px`; None where there is no picture.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        key = identity, side_px
        with self._lock:
            if key in self._made:
                self._made.move_to_end(key)
                return self._made[key]
        leave_the_cores()
        with self._making:
            try:
                pixels = self.pixels(identity)
            except UnreadableImage:
                return None
            if pixels is None:
                return None
            jpeg = codec.encode_jpeg(thumbnail(pixels, min(side_px, max(pixels.shape[:2]))), 85)
        with self._lock:
            self._made[key] = jpeg
            while len(self._made) > REMEMBERED:
                self._made.popitem(last=False)
        return jpeg


def leave_the_cores() -> None:
    """Let every other thread go before this one, for the rest of its life: who inspects is first.

    Only root could raise the priority again, so this is for threads that are about to end.
    """
    with suppress(OSError):  # a system without priorities for threads
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LAST_PRIORITY)


def _size_bytes(frame: Frame) -> int:
    return (0 if frame.pixels is None else frame.pixels.nbytes) + len(frame.data or b"")
