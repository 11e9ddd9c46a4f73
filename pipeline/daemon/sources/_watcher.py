"""Which files of a folder are there and finished: by the system's notice, or by looking twice."""

from __future__ import annotations

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

LOOK_EVERY_S = 5.0  # beside the system's notices: it may run out of room for them
UNNOTICED = 10  # times `stable_s`: the file of a slow writer is not to be taken for finished
LOOKING_SHARE = 0.02  # of the time may go into that, however many files there are
SOON_S = 0.05  # to the second look at a file, at least
GONE_S = 1.0  # in which the notice comes that a file was given another name
GIVEN_S = 60.0  # in which the last notice of a file comes
TEMPORARY = (".part", ".partial", ".tmp", ".temp", "~")  # at the end of a name, before `.png`


class Mark(NamedTuple):
    """What tells one content of a file from another."""

    size: int
    mtime_ns: int


GONE = Mark(-1, 0)  # the file was closed by its writer, and is not there any more


class Finished(NamedTuple):
    """A file that nobody writes to any more; `name` is its path below the folder."""

    name: str
    mark: Mark


def mark_of(path: Path) -> Mark | None:
    """Of the file there now; None when there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return None if stat.S_ISDIR(status.st_mode) else Mark(status.st_size, status.st_mtime_ns)


class Lookout:
    """Watches a folder and all below it for images.

    A file counts as finished when its writer has closed it or moved it into place; where nobody
    gives notice (it was there before, or a share has no notices), when size and time of change have
    stayed the same for `stable_s`.
    """

    def __init__(
        self,
        folder: Path,
        known: Callable[[str, Mark], bool],
        clock: Clock,
        *,
        stable_s: float,
        polling_s: float,
        but: Path | None = None,
    ) -> None:
        """Look at nothing yet.

        Args:
            folder: the folder.
            known: is this content of this file one that was taken already?
            clock: the time.
            stable_s: how long a file has to stay as it is.
            polling_s: how often to look; 0: ask the system for notices.
            but: a folder below it that is left out.
        """
        self._folder, self._known, self._clock = folder, known, clock
        self._stable_s, self._polling_s, self._but = stable_s, polling_s, but
        self._notices: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()  # to, from
        self._growing: dict[str, tuple[Mark, float]] = {}  # name: content, and since when
        self._gone: dict[str, float] = {}  # name: since when
        self._given: dict[str, float] = {}  # name: when it was given to the caller
        self._new: dict[str, float] = {}  # folder/: when its making was noticed
        self._identity: tuple[int, int] | None = None  # of the folder that is watched
        self._next_look_s = clock.monotonic_s()
        self._looks = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Have notices come, unless it is to poll.

        Raises:
            SourceLost: the system has none to give, or the folder is not there.
        """
        self._identity = self._folders_identity()
        self._looks, self._next_look_s = 0, self._clock.monotonic_s()
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

        notices = self._notices

        class Noting(FileSystemEventHandler):
            def dispatch(self, event: FileSystemEvent) -> None:
                source, target = os.fsdecode(event.src_path), os.fsdecode(event.dest_path)
                moved = isinstance(event, FileMovedEvent | DirMovedEvent)
                notices.put((target, source) if moved else (source, ""))

        told = [FileClosedEvent, FileMovedEvent, DirCreatedEvent, DirMovedEvent]
        observer: InotifyObserver | None = None
        try:
            # "Full": a file moved here from another folder is told of as moved, not as begun.
            observer = InotifyObserver(generate_full_events=True)
            observer.schedule(Noting(), str(self._folder), recursive=True, event_filter=told)
            observer.start()
        except OSError as error:
            if observer is not None:
                observer.stop()  # it has a thread and handles from the moment it is made
            raise SourceLost(
                f"{self._folder} cannot be watched: {error.strerror}; with `polling_s` it needs "
                "not be"
            ) from None
        try:
            yield
        finally:
            observer.stop()
            observer.join(1)

    def finished(self, heartbeat: Heartbeat) -> list[Finished]:
        """Files that are ready now, oldest first; waits a quarter of a second for one at most.

        Raises:
            SourceLost: the folder is not there any more.
        """
        found = self._noticed()
        left_s = self._next_look_s - self._clock.monotonic_s()
        if not found and left_s > 0:
            self._wait(heartbeat, min(BEAT_EVERY_S, left_s))
            found = self._noticed()
        if self._clock.monotonic_s() >= self._next_look_s:
            found |= self._looked(heartbeat)
        self._given |= dict.fromkeys(found, self._clock.monotonic_s())
        return sorted(
            (Finished(name, mark) for name, mark in found.items()),
            key=lambda f: (f.mark.mtime_ns, f.name),
        )

    @property
    def _takes_notices(self) -> bool:
        """After the first two looks: what was there before comes before what comes."""
        return not self._polling_s and self._looks > 1

    def _wait(self, heartbeat: Heartbeat, seconds: float) -> None:
        if not self._takes_notices:
            heartbeat.wait(seconds)
            return
        heartbeat.beat()
        with suppress(queue.Empty):
            self._notices.put(self._notices.get(timeout=seconds))

    def _noticed(self) -> dict[str, Mark]:
        """Files that their writers have closed or moved here since the last call."""
        found: dict[str, Mark] = {}
        if not self._takes_notices:
            return found
        while not self._notices.empty():
            target, source = self._notices.get()
            if source:
                self._gone.pop(self._name(Path(source)), None)
            if not target:  # moved out of the folder
                continue
            path = Path(target)
            name, mark = self._name(path), mark_of(path)
            if path.is_dir():
                # Files may be in it since before it was watched.
                self._new[f"{name}/"] = self._next_look_s = self._clock.monotonic_s()
            elif not self._is_wanted(path):
                continue
            elif mark is None:
                if name in self._given:  # an old notice: the caller has taken the file away
                    continue
                self._gone[name] = self._clock.monotonic_s()
            elif not self._known(name, mark):
                found[name] = mark
                self._growing.pop(name, None)
        return found | self._vanished()

    def _vanished(self) -> dict[str, Mark]:
        """Files that were finished and then taken away, but not under another name."""
        until_s = self._clock.monotonic_s() - GONE_S
        names = [name for name, since_s in self._gone.items() if since_s <= until_s]
        for name in names:
            del self._gone[name]
        return {name: GONE for name in names if mark_of(self._folder / name) is None}

    def _looked(self, heartbeat: Heartbeat) -> dict[str, Mark]:
        """Files that have stayed as they are since an earlier look."""
        start_s = self._clock.monotonic_s()
        if self._folders_identity() != self._identity:
            raise SourceLost(f"{self._folder} is another folder now than it was")
        self._new = {f: at_s for f, at_s in self._new.items() if at_s > start_s - self._patience_s}
        growing: dict[str, tuple[Mark, float]] = {}
        found: dict[str, Mark] = {}
        for path in self._files():
            heartbeat.beat()
            name, mark = self._name(path), mark_of(path)
            if mark is None or self._known(name, mark):
                continue
            before, since_s = self._growing.get(name, (None, start_s))
            if before == mark and start_s - since_s >= self._needed_s(name):
                found[name] = mark
            else:
                growing[name] = (mark, since_s if before == mark else start_s)
        self._growing = growing
        self._given = {n: at_s for n, at_s in self._given.items() if at_s > start_s - GIVEN_S}
        self._looks += 1 if growing else 2
        now_s = self._clock.monotonic_s()
        pause_s = self._polling_s or LOOK_EVERY_S
        if growing and (self._new or not self._takes_notices):
            pause_s = min(pause_s, max(self._stable_s, SOON_S))
        if self._takes_notices:
            pause_s = max(pause_s, (now_s - start_s) / LOOKING_SHARE)
        self._next_look_s = now_s + pause_s
        return found

    @property
    def _patience_s(self) -> float:
        return self._stable_s * UNNOTICED

    def _needed_s(self, name: str) -> float:
        """How long a file must have stayed as it is.

        What was there before we watched, nobody will tell of. Of other files silence means that
        their writer is at work, or that the notice was lost.
        """
        told = self._takes_notices and not name.startswith(tuple(self._new))
        return self._patience_s if told else self._stable_s

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
            below[:] = [b for b in below if b[0] != "." and here / b != self._but]
            yield from (path for f in files if self._is_wanted(path := here / f))

    def _is_wanted(self, path: Path) -> bool:
        """Is it an image by its name, neither hidden nor temporary, nor where we do not look?"""
        if path.suffix.lower() not in codec.SUFFIXES or path.stem.endswith(TEMPORARY):
            return False
        if self._but is not None and path.is_relative_to(self._but):
            return False
        return not any(part.startswith(".") for part in path.relative_to(self._folder).parts)
