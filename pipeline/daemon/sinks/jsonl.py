"""Records as lines of JSON in files of a folder."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from pipeline.contracts.records import Record
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.sinks import Sink, SinkConfig, SinkDown, message
from pipeline.files import make_folder, sync_folder

MEGABYTE = 1_000_000


class Config(SinkConfig):
    """Settings of a JSONL sink."""

    type: Literal["jsonl"] = Field(description="jsonl")
    folder: Path = Field(description="Folder for the files: <station>_<sink>_<day>_<number>.jsonl.")
    rotate_mb: float = Field(
        50,
        gt=0,
        description="Size in megabytes (10^6 bytes) after which a new file begins; one also "
        "begins at midnight UTC.",
    )
    keep_files: int = Field(
        60,
        ge=2,
        description="Number of files to keep; the oldest are removed. The ledger keeps all "
        "records.",
    )

    def open(self, station: str, clock: Clock) -> Jsonl:
        """Open the sink; no file is created before the first record."""
        return Jsonl(self, station, clock)


class Jsonl(Sink):
    """Appends, and never renames: a reader may follow the file whose name sorts last.

    A file bears the day on which it was begun. Each batch is on the disk (fsync) when `deliver`
    returns; what a crash or a full disk left of a batch is cut off before the next one, so that
    every line is whole. The disk must be a local one: nothing can hurry an fsync.
    """

    def __init__(self, config: Config, station: str, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._stem = f"{station}_{config.outbox}"
        self._name = re.compile(rf"{re.escape(self._stem)}_(\d{{4}}-\d\d-\d\d)_(\d{{3,}})\.jsonl")

    def deliver(self, records: Sequence[Record]) -> None:
        """Append one line a record."""
        lines = [json.dumps(message(r), ensure_ascii=False) + "\n" for r in records]
        try:
            self._append("".join(lines).encode())
        except OSError as error:
            raise SinkDown(f"{self._config.folder}: {error.strerror}") from error

    def _append(self, data: bytes) -> None:
        path = self._current()
        # Opened for each batch, so that the file may be moved or removed between two.
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            whole = _whole_bytes(handle)
            os.ftruncate(handle, whole)
            try:
                written = 0
                while written < len(data):
                    written += os.write(handle, data[written:])
                os.fsync(handle)
            except OSError:
                os.ftruncate(handle, whole)  # all of the batch comes again
                raise
        finally:
            os.close(handle)
        if whole == 0:
            sync_folder(path.parent)
            self._remove_old()

    def _current(self) -> Path:
        """The file to append to; the day never goes back, even if the clock does."""
        folder = self._config.folder
        make_folder(folder)
        today = f"{self._clock.now():%Y-%m-%d}"
        files = self._files()
        if not files:
            return folder / f"{self._stem}_{today}_001.jsonl"
        day, number = self._key(files[-1])
        if today > day:
            return folder / f"{self._stem}_{today}_001.jsonl"
        if files[-1].stat().st_size < self._config.rotate_mb * MEGABYTE:
            return files[-1]
        return folder / f"{self._stem}_{day}_{number + 1:03d}.jsonl"

    def _files(self) -> list[Path]:
        """Our files, the oldest first."""
        ours = [p for p in self._config.folder.iterdir() if self._name.fullmatch(p.name)]
        return sorted(ours, key=self._key)

    def _key(self, path: Path) -> tuple[str, int]:
        found = self._name.fullmatch(path.name)
        assert found is not None
        return found[1], int(found[2])

    def _remove_old(self) -> None:
        for path in self._files()[: -self._config.keep_files]:
            path.unlink(missing_ok=True)


def _whole_bytes(handle: int) -> int:
    """The size of a file up to the end of its last whole line."""
    end = os.fstat(handle).st_size
    while end > 0:
        start = max(0, end - 65536)
        found = os.pread(handle, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
