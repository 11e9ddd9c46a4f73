"""Which files of a folder were inspected, remembered across restarts."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

from pipeline.daemon.sources._watcher import Mark
from pipeline.errors import DataError, printable
from pipeline.files import whole_file

GROWTH = 10_000  # files, some 100 bytes each

log = logging.getLogger(__name__)


class Memory:
    """One line a file, `[name, size, mtime_ns]`, appended when its record is closed.

    A folder may hold a million files, hence it is not written anew for each, but when work begins
    and when it has grown much: by rename, without the files that are gone. A line that a crash has
    cut off is left out then; its file is inspected again rather than never.
    """

    def __init__(self, path: Path) -> None:
        """Read it; another station may be at work with it, so nothing is changed.

        Raises:
            DataError: it cannot be read or written.
        """
        self._path = path
        self._marks: dict[str, Mark] = {}
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

    def __contains__(self, item: tuple[str, Mark]) -> bool:
        return self._marks.get(item[0]) == item[1]

    @property
    def overgrown(self) -> bool:
        """Is it time to `compact`? Seldom enough to cost little however many files there are."""
        return len(self._marks) >= self._compact_at

    def compact(self, is_there: Callable[[str], bool]) -> None:
        """Forget the files that are gone, here and in the file.

        A folder with none of them may be a share that is not mounted: then nothing is forgotten.
        """
        try:
            newer = self._marks.copy()  # one that could not be appended stands here only
            self._read()
            self._marks |= newer
            left = {name: mark for name, mark in self._marks.items() if is_there(name)}
            if left:
                self._marks = left
            with whole_file(self._path) as handle:
                handle.writelines(_line(name, mark) for name, mark in self._marks.items())
        except OSError as error:
            log.error("%s cannot be written anew (%s)", self._path, error.strerror)
        self._compact_at = 2 * len(self._marks) + GROWTH

    def add(self, name: str, mark: Mark) -> None:
        """Remember this content of the file."""
        self._marks[name] = mark
        try:
            with self._path.open("ab") as handle:
                handle.write(_line(name, mark))
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
                    self._marks[name] = Mark(int(size), int(mtime_ns))
                except (ValueError, TypeError):
                    log.warning("%s has a damaged line; its file is inspected again", self._path)


def _line(name: str, mark: Mark) -> bytes:
    # ASCII, so that a name that is not UTF-8 comes back as it was.
    return (json.dumps([name, mark.size, mark.mtime_ns]) + "\n").encode("ascii")
