"""A folder that something writes images to: each is inspected once, oldest first."""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import threading
from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.contracts.records import Record
from pipeline.daemon.inspection.counters import STOPPED, kind
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sources import Frame, Source, SourceConfig
from pipeline.daemon.sources._seen_files import Memory
from pipeline.daemon.sources._watcher import GONE, Finished, Lookout, Mark, mark_of
from pipeline.errors import DataError, UnreadableImage, printable
from pipeline.imaging import codec

SEEN = ".lineside-seen"

log = logging.getLogger(__name__)


class Config(SourceConfig):
    """Settings of a watched folder."""

    type: Literal["folder"] = Field(description="folder")
    path: Path = Field(description="Folder to watch, with all folders below it.")
    after: Literal["leave", "move", "delete"] = Field(
        "leave",
        description="What becomes of a file once its record is closed. leave: it stays, and is "
        "remembered across restarts by name, size and time of change; move: to `done`.",
    )
    done: Path | None = Field(
        None,
        description="Where to move inspected files; a name that is taken there gets a number.",
    )
    seen: Path | None = Field(
        None, description=f"File that remembers, for leave; none: {SEEN} in the folder."
    )
    polling_s: float = Field(
        0,
        ge=0,
        le=3600,
        description="Look so often instead of having the system tell of files: for NFS and SMB, "
        "whose writers it does not see. 0: have it told.",
    )
    stable_ms: float = Field(
        1000,
        ge=0,
        le=600_000,
        description="A file whose end of writing nobody tells of is read once it has stayed the "
        "same so long.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.done is not None) != (self.after == "move"):
            raise ValueError("`done` belongs to `after: move`, and that needs it")
        if self.seen is not None and self.after != "leave":
            raise ValueError("`seen` belongs to `after: leave`")
        if self.done is not None and self.path.absolute().is_relative_to(self.done.absolute()):
            raise ValueError("`done` must be another folder than `path`, and not one above it")
        return self

    def open(self, clock: Clock) -> Folder:
        """Read what was inspected before."""
        return Folder(self, clock)


class Folder(Source):
    """An opened folder. Files wait on the disk, so nothing is overload.

    A file is done when its record is closed, not when it is read: after a crash those in between
    are inspected again, under new records, beside the old ones that say why.
    """

    live = False

    def __init__(self, config: Config, clock: Clock) -> None:
        """Read what was inspected before.

        Raises:
            DataError: the folder is missing, or may not be written where that is needed.
        """
        self._path = config.path.absolute()
        self._done = config.done.absolute() if config.done else None
        self._after = config.after
        self._clock = clock
        if not self._path.is_dir():
            raise DataError(f"source.path {config.path} is no folder; make it, or mount it")
        if config.after != "leave" and not os.access(self._path, os.W_OK | os.X_OK):
            raise DataError(
                f"source.path {config.path} is not ours to change; `after: {config.after}` needs it"
            )
        self._memory = Memory(config.seen or self._path / SEEN) if config.after == "leave" else None
        self._taken: dict[str, Mark] = {}  # read, but not done
        # Whose records are closed, or could not be; filled by any thread.
        self._closed: deque[tuple[Finished, bool]] = deque()
        self._clearing, self._ended = threading.Lock(), threading.Event()
        self._lookout = Lookout(
            self._path,
            self._is_known,
            clock,
            stable_s=config.stable_ms / 1000,
            polling_s=config.polling_s,
            but=self._done,
        )

    def frames(self, heartbeat: Heartbeat) -> Iterator[Frame]:
        """Yield each file once it is finished."""
        with self._lookout.watching():
            self.connected = True  # there may be no file for hours
            while not heartbeat.stopping:
                self._forget_gone(heartbeat)
                for file in self._lookout.finished(heartbeat):
                    if heartbeat.stopping:
                        return
                    self._taken[file.name] = file.mark
                    yield self._frame(file)
                    self._clear()
                self._clear()

    def close(self) -> None:
        """Finish with the files whose records were closed meanwhile."""
        self._ended.set()
        self._clear()

    def _is_known(self, name: str, mark: Mark) -> bool:
        if self._taken.get(name) == mark:
            return True
        return self._memory is not None and (name, mark) in self._memory

    def _frame(self, file: Finished) -> Frame:
        at, captured_s = self._clock.now(), self._clock.monotonic_s()
        path, serial = self._path / file.name, printable(file.name)
        fault, data = "", None
        try:
            data = codec.content(path, serial)
        except UnreadableImage as error:
            fault = str(error)
        answer = partial(self._record_closed, file)
        return Frame(at, captured_s, serial, None, fault, data, path.suffix.lower(), answer)

    def _record_closed(self, file: Finished, record: Record | None) -> None:
        """Called from the inspection's thread, which must not wait for a share that hangs.

        A file that nobody looked at because the station ended is found again.
        """
        looked_at = record is not None and kind(record.reason) != STOPPED
        self._closed.append((file, looked_at))
        if self._ended.is_set():
            self._clear()

    def _clear(self) -> None:
        """Do with files whose records are closed what `after` says."""
        with self._clearing:
            while self._closed:
                file, has_record = self._closed.popleft()
                # One without a record is found again.
                forget = self._finish(file) if has_record else True
                if forget and self._taken.get(file.name) == file.mark:
                    del self._taken[file.name]

    def _forget_gone(self, heartbeat: Heartbeat) -> None:
        """Keep what is remembered from growing with all the files that ever were."""
        if self._memory is None or not self._memory.overgrown:
            return

        def is_there(name: str) -> bool:
            heartbeat.beat()
            return (self._path / name).exists()

        with self._clearing:
            self._memory.compact(is_there)

    def _finish(self, file: Finished) -> bool:
        """Returns whether the file needs to be kept in mind no longer."""
        path = self._path / file.name
        if file.mark == GONE:
            return True
        if self._memory is not None:
            self._memory.add(file.name, file.mark)
        # Another content under the same name is the next part: it waits for its own turn.
        elif mark_of(path) == file.mark:
            try:
                self._remove(path, file.name)
            except OSError as error:
                log.error(
                    "%s is inspected, but cannot be taken away (%s); after a restart it will be "
                    "inspected again",
                    printable(str(path)),
                    error.strerror,
                )
                return False
        return True

    def _remove(self, path: Path, name: str) -> None:
        if self._done is None:
            path.unlink()
            return
        target = self._done / name
        target.parent.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(2):
            try:
                # Not a rename, which would overwrite, and which the watch would have to pair.
                os.link(path, target, follow_symlinks=False)
                break
            except FileExistsError:
                pass
            except OSError:  # another disk, or one without links
                if not os.path.lexists(target):
                    shutil.copy2(path, target)
                    break
            target = (self._done / name).with_stem(f"{path.stem}-{number}")
        path.unlink()
