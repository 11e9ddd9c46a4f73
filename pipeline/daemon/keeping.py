"""Frames that the station keeps: what people will review and the next model will learn from."""

from __future__ import annotations

import hashlib
import logging

from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.line import Keep
from pipeline.daemon.sources import Frame
from pipeline.files import write_whole
from pipeline.imaging.codec import encode_png

log = logging.getLogger(__name__)


class Keeper:
    """Writes frames to `<folder>/<day in UTC>/<record id><ending>`."""

    def __init__(self, settings: Keep) -> None:
        self._settings = settings

    def wants(self, record: Record) -> bool:
        """Is the frame of this record to be kept? The same record always gets the same answer."""
        if record.verdict is Verdict.PASS:
            drawn = int.from_bytes(hashlib.sha256(record.id.encode()).digest()[:8]) / 2**64
            return drawn < self._settings.pass_share
        return record.verdict.value in self._settings.verdicts

    def keep(self, frame: Frame, record: Record) -> str:
        """Write the camera's own file, or its pixels as PNG.

        Returns:
            the POSIX path below the folder; "" when it was not wanted, there was nothing to write
            or it could not be written: a full disk does not stop the line.
        """
        if not self.wants(record):
            return ""
        data, ending = frame.data, frame.ending
        if data is None:
            if frame.pixels is None:
                return ""
            data, ending = encode_png(frame.pixels), ".png"
        path = f"{record.captured_at[:10]}/{record.id}{ending}"
        try:
            write_whole(self._settings.folder / path, data)
        except OSError as error:
            log.warning("the frame of %s was not kept: %s", record.id, error)
            return ""
        return path
