"""Which files of a folder were inspected, remembered across restarts in a file of its own."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

from pipeline.daemon.sources._watcher import FileStamp
from pipeline.errors import DataError, printable
from pipeline.files import whole_file

GROWTH = 10_000  # files between two compactions, some 100 bytes each

log = logging.getLogger(__name__)


class SeenFiles:
    """One line per file, `[name, size, mtime_ns]`, appended when its record is closed.

    A folder may hold a million files, so the whole is not written for each of them, but at the
    start and when it has grown much: by rename, without the files that are gone. A line that a
    crash has cut off is left out then; its file is inspected again rather than never.
    """

    def __init__(self, path: Path) -> None:
        """Read it; nothing is changed, since another station may be using it.

        Raises:
            DataError: it cannot be read or written.
        """
        self._path = path
        self._stamps: dict[str, FileStamp] = {}
        try:
            with path.open("ab"):
                pass
            self._read()
        except OSError as error:
            raise DataError(
                f"{path} cannot be written ({error.strerror}); it remembers which files were "
                "inspected: let the station write there, or name another file as source.seen"
            ) from None
        self._compact_at = 0

    def __contains__(self, item: tuple[str, FileStamp]) -> bool:
        return self._stamps.get(item[0]) == item[1]

    @property
    def overgrown(self) -> bool:
        """Is it time to `compact`? Rarely enough to cost little however many files there are."""
        return len(self._stamps) >= self._compact_at

    def compact(self, is_there: Callable[[str], bool]) -> None:
        """Forget the files that are gone, here and in the file.

        A folder with none of them may be a share that is not mounted: then nothing is forgotten.
        """
        try:
            newer = self._stamps.copy()  # may hold one that could not be appended to the file
            self._read()
            self._stamps |= newer
            left = {name: stamp for name, stamp in self._stamps.items() if is_there(name)}
            if left:
                self._stamps = left
            with whole_file(self._path) as handle:
                handle.writelines(_line(name, stamp) for name, stamp in self._stamps.items())
        except OSError as error:
            log.error("%s cannot be compacted (%s)", self._path, error.strerror)
        self._compact_at = 2 * len(self._stamps) + GROWTH

    def add(self, name: str, stamp: FileStamp) -> None:
        """Remember this content of the file."""
        self._stamps[name] = stamp
        try:
            with self._path.open("ab") as handle:
                handle.write(_line(name, stamp))
        except OSError as error:
            log.error(
                "%s cannot be written (%s); after a restart %s will be inspected again",
                self._path,
                error.strerror,
                printable(name),
            )

    def _read(self) -> None:
        with self._path.open("rb") as lines:
            for line in lines:
                try:
                    name, size, mtime_ns = json.loads(line)
                    self._stamps[name] = FileStamp(int(size), int(mtime_ns))
                except (ValueError, TypeError):
                    log.warning("%s has a damaged line; its file is inspected again", self._path)


def _line(name: str, stamp: FileStamp) -> bytes:
    # ASCII, so that a name that is not UTF-8 comes back as it was.
    return (json.dumps([name, stamp.size, stamp.mtime_ns]) + "\n").encode("ascii")
