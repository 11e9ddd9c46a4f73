"""Which files of a folder were inspected, remembered across restarts in a file of its own."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.sources._watcher import FileStamp
from pipeline.errors import DataError, printable
from pipeline.files import whole_file

GROWTH = 10_000  # lines between two compactions, some 100 bytes each
MOST_GONE = 100_000  # files that are gone and may have been renamed, the latest
SECOND_NS = 10**9
# What is left of a time of change: SMB and NTFS, rsync and tar, exFAT, ext3 and HFS+, FAT.
UNITS_NS = (100, 1_000, 10**6, 10**7, SECOND_NS, 2 * SECOND_NS)
REMOVED = FileStamp(-2, 0)  # the line of a name that its file no longer has

log = logging.getLogger(__name__)


class SeenFile(NamedTuple):
    """One inspected file; `digest` (SHA-256 of its content) is empty where it is not needed."""

    stamp: FileStamp
    digest: bytes = b""
    inspected_s: float = 0.0  # since 1970


def digest_of(data: bytes) -> bytes:
    """SHA-256 of a file's content."""
    return hashlib.sha256(data).digest()


class SeenFiles:
    """One line per file, `[name, size, mtime_ns]`, appended when its record is closed.

    For `recognise_s` after the inspection also the digest of its content, as hexadecimal, and the
    time of the inspection in seconds since 1970.

    A folder may hold a million files, so the whole is not written for each of them, but at the
    start and when it has grown much: by rename, without the files that are gone. A line that a
    crash has cut off is left out then; its file is inspected again rather than never.
    """

    def __init__(self, path: Path, clock: Clock, recognise_s: float = 0) -> None:
        """Read it; nothing is changed, since another station may be using it.

        Raises:
            DataError: it cannot be read or written.
        """
        self._path, self._clock, self._recognise_s = path, clock, recognise_s
        self._files: dict[str, SeenFile] = {}
        self._names: defaultdict[tuple[bytes, int], tuple[str, ...]] = defaultdict(tuple)
        try:
            with path.open("ab"):
                pass
            self._read()
        except OSError as error:
            raise DataError(
                f"{path} cannot be written ({error.strerror}); it remembers which files were "
                "inspected: let the station write there, or name another file as source.seen"
            ) from None
        self._index()
        self._room = 0  # lines that may be appended before it is compacted

    def __contains__(self, item: tuple[str, FileStamp]) -> bool:
        file = self._files.get(item[0])
        return file is not None and file.stamp == item[1]

    @property
    def recognises(self) -> bool:
        """Are digests wanted?"""
        return self._recognise_s > 0

    @property
    def overgrown(self) -> bool:
        """Is it time to `compact`? Rarely enough to cost little however many files there are."""
        return self._room <= 0

    def compact(self, is_there: Callable[[str], bool]) -> None:
        """Forget the files that are gone, here and in the file, unless they may be recognised.

        A folder with none of them may be a share that is not mounted: then nothing is forgotten.
        """
        try:
            newer = self._files.copy()  # may hold one that could not be appended to the file
            self._read()
            self._files |= newer
            gone = {name: file for name, file in self._files.items() if not is_there(name)}
            if len(gone) < len(self._files):
                for name in gone.keys() - set(islice(self._latest(gone), MOST_GONE)):
                    del self._files[name]
            self._index()
            with whole_file(self._path) as handle:
                handle.writelines(_line(name, file) for name, file in self._files.items())
        except OSError as error:
            log.error("%s cannot be compacted (%s)", self._path, error.strerror)
        self._room = len(self._files) + GROWTH

    def add(self, name: str, stamp: FileStamp, digest: bytes = b"") -> None:
        """Remember this content of the file."""
        inspected_s = self._clock.now().timestamp() if digest else 0.0
        self._remember(name, SeenFile(stamp, digest, inspected_s))

    def recognise(
        self, name: str, stamp: FileStamp, digest: bytes, stamp_now: Callable[[str], FileStamp]
    ) -> str | None:
        """Remember a file that was inspected with another name or time; None where none was.

        The content alone proves nothing: a camera that is frozen writes the same again. So the
        time has to be the same too, or what a copy leaves of it; and of a file with another name
        it needs to have digits below a second, and no file may be left where it was.

        Args:
            name: of the file.
            stamp: of the file.
            digest: of its content.
            stamp_now: gives the stamp of a name now; raises FileNotFoundError where there is none,
                and any other OSError where that is not known.

        Returns:
            The name with which it was inspected.
        """
        for before in (name, *self._names.get(_key(stamp, digest), ())):
            file = self._files.get(before)
            if file is None or file.digest != digest or not self._is_recent(file):
                continue
            if before == name:
                if _has_lost_digits(stamp, file.stamp):
                    self._remember(name, file._replace(stamp=stamp))
                    return before
            elif _is_renamed(stamp, file.stamp) and _has_left(before, file.stamp, stamp_now):
                self._forget(before)
                self._remember(name, file._replace(stamp=stamp), removed=before)
                return before
        return None

    def _remember(self, name: str, file: SeenFile, removed: str = "") -> None:
        self._forget(name)
        self._files[name] = file
        if file.digest:
            self._names[_key(file.stamp, file.digest)] += (name,)
        self._room -= 1
        line = _line(removed, SeenFile(REMOVED)) if removed else b""
        try:
            with self._path.open("ab") as handle:
                handle.write(line + _line(name, file))
        except OSError as error:
            log.error(
                "%s cannot be written (%s); after a restart %s will be inspected again",
                self._path,
                error.strerror,
                printable(name),
            )

    def _forget(self, name: str) -> None:
        file = self._files.pop(name, None)
        if file is not None and file.digest:
            key = _key(file.stamp, file.digest)
            others = tuple(other for other in self._names.pop(key, ()) if other != name)
            if others:
                self._names[key] = others

    def _is_recent(self, file: SeenFile) -> bool:
        age_s = self._clock.now().timestamp() - file.inspected_s
        return bool(file.digest) and abs(age_s) < self._recognise_s

    def _latest(self, files: dict[str, SeenFile]) -> Iterator[str]:
        """Names of those that may be recognised, the latest first."""
        recent = (name for name, file in files.items() if self._is_recent(file))
        return iter(sorted(recent, key=lambda name: -files[name].inspected_s))

    def _index(self) -> None:
        """Find by content those that may be recognised, and forget the digests of the others."""
        self._names.clear()
        for name, file in self._files.items():
            if self._is_recent(file):
                self._names[_key(file.stamp, file.digest)] += (name,)
            elif file.digest:
                self._files[name] = SeenFile(file.stamp)

    def _read(self) -> None:
        with self._path.open("rb") as lines:
            for line in lines:
                try:
                    name, size, mtime_ns, *rest = json.loads(line)
                    stamp = FileStamp(int(size), int(mtime_ns))
                    if stamp == REMOVED:
                        self._files.pop(name, None)
                        continue
                    digest, inspected_s = rest or ("", 0.0)
                    self._files[name] = SeenFile(stamp, bytes.fromhex(digest), float(inspected_s))
                except (ValueError, TypeError):
                    log.warning("%s has a damaged line; its file is inspected again", self._path)


def _line(name: str, file: SeenFile) -> bytes:
    # ASCII, so that a name that is not UTF-8 comes back as it was.
    line: list[str | float] = [name, file.stamp.size, file.stamp.mtime_ns]
    if file.digest:
        line += [file.digest.hex(), file.inspected_s]
    return (json.dumps(line) + "\n").encode("ascii")


def _key(stamp: FileStamp, digest: bytes) -> tuple[bytes, int]:
    """By which a file is found: the same however many digits of its time are left."""
    return digest, stamp.mtime_ns // UNITS_NS[-1]


def _has_lost_digits(now: FileStamp, before: FileStamp) -> bool:
    """Is the time what a coarser file system or a copy leaves of the former one?"""
    if now.size != before.size or now.mtime_ns == before.mtime_ns:
        return False
    return any(now.mtime_ns == before.mtime_ns - before.mtime_ns % unit for unit in UNITS_NS)


def _is_renamed(now: FileStamp, before: FileStamp) -> bool:
    """Is the time one that no other file has?

    Where times have whole seconds, two pictures that a frozen camera wrote may have the same.
    """
    if before.mtime_ns % SECOND_NS == 0:
        return False
    return now == before or _has_lost_digits(now, before)


def _has_left(name: str, stamp: FileStamp, stamp_now: Callable[[str], FileStamp]) -> bool:
    """Is a file no longer where it was inspected? Not where nobody knows."""
    try:
        now = stamp_now(name)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return now != stamp and not _has_lost_digits(now, stamp)
