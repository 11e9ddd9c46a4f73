"""A watched folder: each image written to it is inspected once, oldest first."""

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

from pipeline.contracts.records import STOPPED, Record, reason_kind
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sources import Frame, Source, SourceConfig
from pipeline.daemon.sources._seen_files import SeenFiles, digest_of
from pipeline.daemon.sources._watcher import (
    GONE,
    FileStamp,
    FinishedFile,
    FolderWatcher,
    stamp_now,
    stamp_of,
)
from pipeline.errors import DataError, UnreadableImage, printable
from pipeline.imaging import codec

SEEN = ".lineside-seen"
LOG_EVERY_S = 60.0  # what was recognised

log = logging.getLogger(__name__)


class Config(SourceConfig):
    """Settings of a watched folder."""

    type: Literal["folder"] = Field(description="folder")
    path: Path = Field(description="Folder to watch, including all folders below it.")
    after: Literal["leave", "move", "delete"] = Field(
        "leave",
        description="What happens to a file once its record is closed. leave: it stays, and is "
        "remembered across restarts by name, size and time of change; move: it is moved to "
        "`done`; delete: it is removed.",
    )
    done: Path | None = Field(
        None,
        description="Folder for inspected files, for move; a file whose name exists there gets "
        "a number.",
    )
    seen: Path | None = Field(
        None,
        description=f"File that remembers inspected files, for leave; none: {SEEN} in the folder.",
    )
    recognise_h: float = Field(
        24,
        ge=0,
        le=8760,
        description="Hours after its inspection in which a file is recognised although it was "
        "renamed below the folder or its time of change lost digits, by its content and what is "
        "left of that time; for leave. 0: never; then it is inspected again.",
    )
    polling_s: float = Field(
        0,
        ge=0,
        le=3600,
        description="Seconds between scans of the folder, for NFS and SMB, where the system "
        "does not report the writes of other machines; 0: use the system's notifications.",
    )
    stable_ms: float = Field(
        1000,
        ge=0,
        le=600_000,
        description="Milliseconds that a file must stay unchanged before it is read, where no "
        "notification reports that it was closed.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.done is not None) != (self.after == "move"):
            raise ValueError("`done` belongs to `after: move`, and that needs it")
        if self.seen is not None and self.after != "leave":
            raise ValueError("`seen` belongs to `after: leave`")
        if "recognise_h" in self.model_fields_set and self.after != "leave":
            raise ValueError("`recognise_h` belongs to `after: leave`")
        if self.done is not None and self.path.absolute().is_relative_to(self.done.absolute()):
            raise ValueError("`done` must be another folder than `path`, and not one above it")
        return self

    @property
    def live(self) -> bool:
        """No: files wait until there is room."""
        return False

    def open(self, clock: Clock) -> Folder:
        """Read which files were inspected before."""
        return Folder(self, clock)


class Folder(Source):
    """An opened folder. Files wait on the disk, so none is refused as overload.

    A file is done when its record is closed, not when it is read: after a crash those in between
    are inspected again, under new records, in addition to the old ones that state why.
    """

    live = False

    def __init__(self, config: Config, clock: Clock) -> None:
        """Read which files were inspected before.

        Raises:
            DataError: the folder is missing, or may not be written where that is needed.
        """
        self._path = config.path.absolute()
        self._done = config.done.absolute() if config.done else None
        self._after = config.after
        self._clock = clock
        if not self._path.is_dir():
            raise DataError(f"source.path {config.path} is not a folder; make it, or mount it")
        if config.after != "leave" and not os.access(self._path, os.W_OK | os.X_OK):
            raise DataError(
                f"source.path {config.path} cannot be written; `after: {config.after}` needs it"
            )
        self._seen = (
            SeenFiles(config.seen or self._path / SEEN, clock, config.recognise_h * 3600)
            if config.after == "leave"
            else None
        )
        self._logged = 0  # of those that were recognised
        self._example = ("", "")  # the first that is not logged: name now, name when inspected
        self._log_at_s = clock.monotonic_s()
        self._taken: dict[str, FileStamp] = {}  # read, record not closed
        # Files whose records are closed, or could not be; filled by any thread.
        self._closed: deque[tuple[FinishedFile, bytes, bool]] = deque()
        self._finishing, self._ended = threading.Lock(), threading.Event()
        self._watcher = FolderWatcher(
            self._path,
            self._is_known,
            clock,
            stable_s=config.stable_ms / 1000,
            polling_s=config.polling_s,
            excluded=self._done,
        )

    def frames(self, heartbeat: Heartbeat) -> Iterator[Frame]:
        """Yield each file once it is finished."""
        with self._watcher.watching():
            self.connected = True  # there may be no file for hours
            while not heartbeat.stopping:
                self._forget_gone(heartbeat)
                for file in self._watcher.finished(heartbeat):
                    if heartbeat.stopping:
                        return
                    if (frame := self._frame(file)) is not None:
                        self._taken[file.name] = file.stamp
                        yield frame
                    heartbeat.beat()
                    self._finish_closed()
                self._finish_closed()
                self._log_recognised()

    def close(self) -> None:
        """Move, delete or remember the files whose records were closed meanwhile."""
        self._ended.set()
        self._finish_closed()
        self._log_recognised(at_once=True)

    def _is_known(self, name: str, stamp: FileStamp) -> bool:
        if self._taken.get(name) == stamp:
            return True
        return self._seen is not None and (name, stamp) in self._seen

    def _frame(self, file: FinishedFile) -> Frame | None:
        """The file; None where it was inspected already."""
        at, captured_s = self._clock.now(), self._clock.monotonic_s()
        path, serial = self._path / file.name, printable(file.name)
        fault, data = "", None
        try:
            data = codec.content(path, serial)
        except UnreadableImage as error:
            fault = str(error)
        digest = b""
        if data is not None and self._seen is not None and self._seen.recognises:
            digest = digest_of(data)
            if self._is_recognised(file, digest):
                return None
        answer = partial(self._record_closed, file, digest)
        return Frame(at, captured_s, serial, None, fault, data, path.suffix.lower(), answer)

    def _is_recognised(self, file: FinishedFile, digest: bytes) -> bool:
        assert self._seen is not None
        with self._finishing:
            before = self._seen.recognise(
                file.name, file.stamp, digest, lambda name: stamp_now(self._path / name)
            )
        if before is not None:
            if self.recognised == self._logged:
                self._example = file.name, before
            self.recognised += 1
        return before is not None

    def _log_recognised(self, *, at_once: bool = False) -> None:
        """Log what was recognised, the first at once and others once a minute."""
        now_s, n = self._clock.monotonic_s(), self.recognised - self._logged
        if not n or (now_s < self._log_at_s and not at_once):
            return
        log.info(
            "%s: %d %s recognised, not inspected again (renamed, or the time of change lost "
            "digits), such as %s, inspected as %s",
            printable(str(self._path)),
            *(n, "file" if n == 1 else "files"),
            *map(printable, self._example),
        )
        self._logged, self._log_at_s = self.recognised, now_s + LOG_EVERY_S

    def _record_closed(self, file: FinishedFile, digest: bytes, record: Record | None) -> None:
        """Called in the inspection thread, which must not wait for a hung network share.

        A file that was not inspected because the station stopped is found again.
        """
        inspected = record is not None and reason_kind(record.reason) != STOPPED
        self._closed.append((file, digest, inspected))
        if self._ended.is_set():
            self._finish_closed()

    def _finish_closed(self) -> None:
        """Apply `after` to the files whose records are closed."""
        with self._finishing:
            while self._closed:
                file, digest, has_record = self._closed.popleft()
                # One without a record is found again.
                forget = self._finish(file, digest) if has_record else True
                if forget and self._taken.get(file.name) == file.stamp:
                    del self._taken[file.name]

    def _forget_gone(self, heartbeat: Heartbeat) -> None:
        """Drop files that are gone from the list of seen files, when it has grown."""
        if self._seen is None or not self._seen.overgrown:
            return

        def is_there(name: str) -> bool:
            heartbeat.beat()
            return (self._path / name).exists()

        with self._finishing:
            self._seen.compact(is_there)

    def _finish(self, file: FinishedFile, digest: bytes) -> bool:
        """Apply `after` to one file; False where it must stay in `_taken`."""
        path = self._path / file.name
        if file.stamp == GONE:
            return True
        if self._seen is not None:
            self._seen.add(file.name, file.stamp, digest)
        # A newer version under the same name is the next part and is inspected later.
        elif stamp_of(path) == file.stamp:
            try:
                self._remove(path, file.name)
            except OSError as error:
                log.error(
                    "%s is inspected, but cannot be removed (%s); after a restart it will be "
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
                # Not a rename, which would overwrite, and which the watcher would see as a move.
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
