"""Finds the finished files of a folder: by notifications of the system (inotify) or by scans."""

from __future__ import annotations

import errno
import os
import queue
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import BEAT_EVERY_S, Heartbeat
from pipeline.errors import SourceLost
from pipeline.imaging import codec

SCAN_EVERY_S = 5.0  # in addition to notices, which the system may lose
SLOW_WRITER = 10  # times `stable_s`, where a notice should have come but has not
SCANNING_SHARE = 0.02  # of the time at most goes into scans, however many files there are
SECOND_SCAN_S = 0.05  # after the first one, at least
RENAME_S = 1.0  # within which the notice of a rename follows
RETURNED_S = 60.0  # within which the last notice of a returned file comes
TEMPORARY = (".part", ".partial", ".tmp", ".temp", "~")  # at the end of a name, before `.png`


class FileStamp(NamedTuple):
    """Identifies one version of a file."""

    size: int
    mtime_ns: int


GONE = FileStamp(-1, 0)  # its writer closed the file, and then it disappeared


class FinishedFile(NamedTuple):
    """A file that is completely written; `name` is its path below the folder."""

    name: str
    stamp: FileStamp


def stamp_now(path: Path) -> FileStamp:
    """Stamp of the file as it is now.

    Raises:
        FileNotFoundError: there is none, or a folder of that name.
        OSError: it is not known whether there is one.
    """
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    return FileStamp(status.st_size, status.st_mtime_ns)


def stamp_of(path: Path) -> FileStamp | None:
    """Stamp of the file as it is now; None when there is none."""
    try:
        return stamp_now(path)
    except OSError:
        return None


class FolderWatcher:
    """Watches a folder and all folders below it for images.

    A file is finished when its writer has closed it or moved it into place. Where no notice comes
    (the file was there before, or a network share has no notices) it is finished when its size and
    time of change have stayed the same for `stable_s`.
    """

    def __init__(
        self,
        folder: Path,
        known: Callable[[str, FileStamp], bool],
        clock: Clock,
        *,
        stable_s: float,
        polling_s: float,
        excluded: Path | None = None,
    ) -> None:
        """Set up; the folder is not read yet.

        Args:
            folder: the folder.
            known: was this version of this file taken already?
            clock: for all intervals.
            stable_s: how long a file has to stay the same.
            polling_s: pause between scans; 0: use the system's notices.
            excluded: a folder below it that is left out.
        """
        self._folder, self._known, self._clock = folder, known, clock
        self._stable_s, self._polling_s, self._excluded = stable_s, polling_s, excluded
        self._notices: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()  # to, from
        self._growing: dict[str, tuple[FileStamp, float]] = {}  # name: stamp, since when
        self._gone: dict[str, float] = {}  # name: since when
        self._returned: dict[str, float] = {}  # name: when it was returned
        self._new_folders: dict[str, float] = {}  # folder/: when it was noticed
        self._identity: tuple[int, int] | None = None  # device and inode
        self._next_scan_s = clock.monotonic_s()
        self._scans = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Receive notices while the block runs, unless polling.

        Raises:
            SourceLost: the system cannot watch the folder, or it is not there.
        """
        self._identity = self._folders_identity()
        self._scans, self._next_scan_s = 0, self._clock.monotonic_s()
        self._growing.clear()
        if self._polling_s:
            yield
            return
        from watchdog.events import (
            DirCreatedEvent,
            DirMovedEvent,
            FileClosedEvent,
            FileMovedEvent,
            FileSystemEvent,
            FileSystemEventHandler,
        )
        from watchdog.observers.inotify import InotifyObserver

        notice = self.notice

        class Handler(FileSystemEventHandler):
            def dispatch(self, event: FileSystemEvent) -> None:
                source, target = os.fsdecode(event.src_path), os.fsdecode(event.dest_path)
                moved = isinstance(event, FileMovedEvent | DirMovedEvent)
                notice(target, source) if moved else notice(source)

        events = [FileClosedEvent, FileMovedEvent, DirCreatedEvent, DirMovedEvent]
        observer: InotifyObserver | None = None
        try:
            # "Full": a file moved here from another folder is reported as moved, not as created.
            observer = InotifyObserver(generate_full_events=True)
            observer.schedule(Handler(), str(self._folder), recursive=True, event_filter=events)
            observer.start()
        except OSError as error:
            if observer is not None:
                observer.stop()  # its constructor has started a thread and opened handles
            raise SourceLost(
                f"{self._folder} cannot be watched: {error.strerror}; set `polling_s` to "
                "scan it instead"
            ) from None
        try:
            yield
        finally:
            observer.stop()
            observer.join(1)

    def notice(self, target: str, source: str = "") -> None:
        """Take one notice: `target` was closed, created or moved from `source`; from any thread."""
        self._notices.put((target, source))

    def finished(self, heartbeat: Heartbeat) -> list[FinishedFile]:
        """Files that are finished now, oldest first; waits at most a quarter of a second for one.

        Raises:
            SourceLost: the folder is not there any more, or is another one.
        """
        found = self._noticed()
        left_s = self._next_scan_s - self._clock.monotonic_s()
        if not found and left_s > 0:
            self._wait(heartbeat, min(BEAT_EVERY_S, left_s))
            found = self._noticed()
        if self._clock.monotonic_s() >= self._next_scan_s:
            found |= self._scanned(heartbeat)
        self._returned |= dict.fromkeys(found, self._clock.monotonic_s())
        return sorted(
            (FinishedFile(name, stamp) for name, stamp in found.items()),
            key=lambda f: (f.stamp.mtime_ns, f.name),
        )

    @property
    def uses_notices(self) -> bool:
        """Are notices used now? Only after two scans: files that were there before come first."""
        return not self._polling_s and self._scans > 1

    def _wait(self, heartbeat: Heartbeat, seconds: float) -> None:
        if not self.uses_notices:
            heartbeat.wait(seconds)
            return
        heartbeat.beat()
        with suppress(queue.Empty):
            self._notices.put(self._notices.get(timeout=seconds))

    def _noticed(self) -> dict[str, FileStamp]:
        """Files that were closed or moved here since the last call."""
        found: dict[str, FileStamp] = {}
        if not self.uses_notices:
            return found
        while not self._notices.empty():
            target, source = self._notices.get()
            if source:
                self._gone.pop(self._name(Path(source)), None)
            if not target:  # moved out of the folder
                continue
            path = Path(target)
            name, stamp = self._name(path), stamp_of(path)
            if path.is_dir():
                # Files may have been written to it before it was watched.
                self._new_folders[f"{name}/"] = self._next_scan_s = self._clock.monotonic_s()
            elif not self._is_wanted(path):
                continue
            elif stamp is None:
                if name in self._returned:  # an old notice: the caller has removed the file
                    continue
                self._gone[name] = self._clock.monotonic_s()
            elif not self._known(name, stamp):
                found[name] = stamp
                self._growing.pop(name, None)
        return found | self._vanished()

    def _vanished(self) -> dict[str, FileStamp]:
        """Files that were closed and then disappeared without being renamed."""
        until_s = self._clock.monotonic_s() - RENAME_S
        names = [name for name, since_s in self._gone.items() if since_s <= until_s]
        for name in names:
            del self._gone[name]
        return {name: GONE for name in names if stamp_of(self._folder / name) is None}

    def _scanned(self, heartbeat: Heartbeat) -> dict[str, FileStamp]:
        """Files that have stayed the same since an earlier scan."""
        start_s = self._clock.monotonic_s()
        if self._folders_identity() != self._identity:
            raise SourceLost(f"{self._folder} is another folder now than it was")
        self._new_folders = _since(self._new_folders, start_s - self._slow_writer_s)
        growing: dict[str, tuple[FileStamp, float]] = {}
        found: dict[str, FileStamp] = {}
        for path in self._files():
            heartbeat.beat()
            name, stamp = self._name(path), stamp_of(path)
            if stamp is None or self._known(name, stamp):
                continue
            before, since_s = self._growing.get(name, (None, start_s))
            if before == stamp and start_s - since_s >= self._needed_s(name):
                found[name] = stamp
            else:
                growing[name] = (stamp, since_s if before == stamp else start_s)
        self._growing = growing
        self._returned = _since(self._returned, start_s - RETURNED_S)
        self._scans += 1 if growing else 2
        now_s = self._clock.monotonic_s()
        pause_s = self._polling_s or SCAN_EVERY_S
        if growing and (self._new_folders or not self.uses_notices):
            pause_s = min(pause_s, max(self._stable_s, SECOND_SCAN_S))
        if self.uses_notices:
            pause_s = max(pause_s, (now_s - start_s) / SCANNING_SHARE)
        self._next_scan_s = now_s + pause_s
        return found

    @property
    def _slow_writer_s(self) -> float:
        return self._stable_s * SLOW_WRITER

    def _needed_s(self, name: str) -> float:
        """How long a file must have stayed the same.

        Files that were there before the watch began get no notice. For others a missing notice
        means that their writer is still at work, or that the notice was lost.
        """
        gets_notice = self.uses_notices and not name.startswith(tuple(self._new_folders))
        return self._slow_writer_s if gets_notice else self._stable_s

    def _folders_identity(self) -> tuple[int, int]:
        try:
            status = self._folder.stat()
        except OSError as error:
            raise SourceLost(f"{self._folder} is not there: {error.strerror}") from None
        return status.st_dev, status.st_ino

    def _name(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()

    def _files(self) -> Iterator[Path]:
        for folder, below, files in os.walk(self._folder):
            here = Path(folder)
            below[:] = [b for b in below if b[0] != "." and here / b != self._excluded]
            yield from (path for f in files if self._is_wanted(path := here / f))

    def _is_wanted(self, path: Path) -> bool:
        """Is it an image by its name, and neither hidden, temporary nor excluded?"""
        if path.suffix.lower() not in codec.SUFFIXES or path.stem.endswith(TEMPORARY):
            return False
        if self._excluded is not None and path.is_relative_to(self._excluded):
            return False
        return not any(part.startswith(".") for part in path.relative_to(self._folder).parts)


def _since(times: dict[str, float], start_s: float) -> dict[str, float]:
    """The entries that are later than `start_s`."""
    return {name: at_s for name, at_s in times.items() if at_s > start_s}
