"""Disk space of kept frames: how much they take, and which are removed first.

When there is no room for a frame, older frames that are worth no more are removed: the least worth
first and among those the oldest. So a flood of good parts never displaces a defective one, and
reviewed frames, which training needs, are never removed.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections import deque
from collections.abc import Container, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, IntEnum, auto
from itertools import islice
from pathlib import Path

from pipeline.contracts.records import Verdict
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.settings.line import Keep
from pipeline.errors import LedgerError
from pipeline.ledger.ledger import Ledger

# Rows and directory entries at a time: some 2 ms, so that the ledger is never blocked for long.
WINDOW = 128
BATCH = 32  # frames removed at a time, in one transaction
LOOK_EVERY_S = 1.0  # at the free disk space; in between, writes and removals are added up
SEARCH_AGAIN_S = 600.0  # from the start, for frames noted behind the position of the search

_DAY = re.compile(r"\d{4}-\d\d-\d\d")
# Without naming the index, SQLite may scan the parts of which no frame was kept.
_KEPT = """
SELECT seq, id, image, verdict,
       EXISTS (SELECT 1 FROM reviews WHERE record = records.id) AS reviewed,
       EXISTS (SELECT 1 FROM shadows
               WHERE record = records.id AND shadows.verdict != records.verdict)
       OR kind != 'part' AS disputed
FROM records INDEXED BY records_kept
WHERE image != '' AND seq > ? ORDER BY seq LIMIT ?
"""
# A person may have reviewed it a moment ago, while the station runs.
_FORGET = """
UPDATE records SET image = ''
WHERE id = ? AND image = ? AND NOT EXISTS (SELECT 1 FROM reviews WHERE record = records.id)
"""

log = logging.getLogger(__name__)


class Worth(IntEnum):
    """Worth of a kept frame, in rising order.

    A part that was not judged is of no use for the next training; of good parts there are many;
    about a defective one the model was sure; one in doubt, or that two models judge differently,
    should be reviewed first.
    """

    NOT_INSPECTED = 0
    PASS = 1
    FAIL = 2
    DOUBT = 3  # REVIEW or a disagreement, not yet reviewed; a challenge run's
    PROTECTED = 4  # reviewed by a person, or a verdict that the line file protects


class Room(Enum):
    """Result of making room for a frame."""

    YES = auto()
    NO = auto()
    NOT_YET = auto()  # some was made, or the search goes on: ask again


@dataclass(frozen=True)
class Kept:
    """A frame that may be removed: its record's id and its POSIX path below the folder."""

    id: str
    path: str


class Retention:
    """Disk space in one station's folder of kept frames; for one thread at a time.

    At the start it counts the files that are there, one window a `step`, and notes frames whose
    names a crash kept from the ledger; until then nothing is removed. A crash after the name was
    removed from the ledger and before the file was removed looks the same, and is repeated.

    Attributes:
        kept_bytes: of all files in the day folders.
        unknown: number of those that are not in the ledger. They count, and are never removed.
        removed: frames removed since the start, by worth.
    """

    def __init__(
        self, settings: Keep, ledger: Ledger, clock: Clock, at_disk: Container[str] = ()
    ) -> None:
        """Start to count.

        Args:
            settings: `keep` of the line file.
            ledger: names the frames.
            clock: when to look at the disk again.
            at_disk: paths below the folder that are being written; `wrote` will count them.
        """
        self.kept_bytes = 0
        self.unknown = 0
        self.removed = dict.fromkeys(Worth, 0)
        self.quota_bytes = None if settings.quota_gb is None else int(settings.quota_gb * 1e9)
        self._min_free_bytes = int(settings.min_free_gb * 1e9)
        self._folder = settings.folder
        self._protected = {Verdict(v) for v in settings.protected}
        self._ledger = ledger
        self._clock = clock
        self._at_disk = at_disk
        self._looked_s: float | None = None
        self._free_bytes = 0
        self._fresh: set[str] = set()  # written while counting, so not to be counted again
        self._counting: Iterator[None] | None = self._count()
        self._restart_search()

    @property
    def counting(self) -> bool:
        """Is the initial count still going on?"""
        return self._counting is not None

    @property
    def lacking_bytes(self) -> int:
        """Bytes to remove for the quota and `min_free_gb`; a negative number is the room left.

        Raises:
            OSError: the folder or its disk cannot be read.
        """
        lacking = self._min_free_bytes - self._free()
        if self.quota_bytes is not None and not self.counting:
            lacking = max(lacking, self.kept_bytes - self.quota_bytes)
        return lacking

    def worth(self, verdict: Verdict, *, reviewed: bool = False, disputed: bool = False) -> Worth:
        """The worth of a frame."""
        if reviewed or verdict in self._protected:
            return Worth.PROTECTED
        if disputed or verdict is Verdict.REVIEW:
            return Worth.DOUBT
        return Worth[verdict.value]

    def step(self) -> bool:
        """Count the next files; once all are counted, remove some if there are too many.

        Returns:
            Is there more to do?

        Raises:
            OSError: the folder cannot be read.
            LedgerError: the ledger cannot be used.
        """
        if self._counting is None:
            # Another program may fill the disk, or the quota was lowered. Losing a frame is better
            # than a record that cannot be written.
            return self.room(0, Worth.DOUBT) is Room.NOT_YET
        try:
            next(self._counting)
        except StopIteration:
            self._counting = None
            self._fresh = set()
        except Exception:
            self.kept_bytes, self.unknown, self._fresh = 0, 0, set()
            self._counting = self._count()
            raise
        return True

    def room(self, size: int, worth: Worth) -> Room:
        """Make room for a frame by removing some that are worth no more.

        Raises:
            OSError: the folder cannot be read.
            LedgerError: the ledger cannot be used; nothing was removed.
        """
        lacking = self.lacking_bytes + size
        if lacking <= 0:
            return Room.YES
        if self.counting or (self.quota_bytes is not None and size > self.quota_bytes):
            return Room.NO  # while counting it is the disk that is short
        batch: list[tuple[Kept, Worth, int]] = []
        more = Room.NO
        for i, found in enumerate(self._least_worthy(worth), start=1):
            # A missing file frees nothing. Its name stays: its disk may be unmounted.
            if found is not None and (its_bytes := self._size(found[0])) is not None:
                batch.append((*found, its_bytes))
                lacking -= its_bytes
            if found is None or lacking <= 0 or len(batch) == BATCH or i == WINDOW:
                more = Room.NOT_YET
                break
        if batch:
            self._remove(batch)
        elif more is Room.NO and self._clock.monotonic_s() - self._searched_s > SEARCH_AGAIN_S:
            self._restart_search()
            more = Room.NOT_YET
        return more

    def wrote(self, path: str, size: int) -> None:
        """Count a frame that was written to `path` below the folder."""
        self.kept_bytes += size
        self._free_bytes -= size
        if self.counting:
            self._fresh.add(path)

    def _count(self) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        for day in sorted(p.name for p in self._folder.iterdir() if _DAY.fullmatch(p.name)):
            with os.scandir(self._folder / day) as entries:
                while window := list(islice(entries, WINDOW)):
                    self._count_window(day, window)
                    yield
        if self.unknown:
            log.warning(
                "%d files in %s belong to no record of the ledger; they count for the quota and "
                "are never removed: move them away if they are not needed",
                *(self.unknown, self._folder),
            )

    def _count_window(self, day: str, entries: Sequence[os.DirEntry[str]]) -> None:
        found: dict[str, str] = {}  # path by record id
        for entry in entries:
            name = entry.name
            half = name.startswith(".") and name.endswith(".partial")  # see `files.whole_file`
            path = f"{day}/{name[1:].removesuffix('.partial') if half else name}"
            if path in self._at_disk or path in self._fresh:
                continue
            if half:
                Path(entry.path).unlink(missing_ok=True)  # left by a crash while writing
            elif entry.is_file(follow_symlinks=False):
                self.kept_bytes += entry.stat(follow_symlinks=False).st_size
                found[name.partition(".")[0]] = path
        marks = ", ".join("?" * len(found))
        with self._ledger.reading() as db:
            rows = db.execute(
                f"SELECT id, image FROM records WHERE id IN ({marks})", list(found)
            ).fetchall()
        self.unknown += len(found) - len(rows)
        for row in rows:
            if not row["image"]:
                self._ledger.note_image(row["id"], found[row["id"]])
                log.info("%s, whose name a crash kept from the ledger, is noted", found[row["id"]])

    def _free(self) -> int:
        """Free bytes of the disk."""
        now_s = self._clock.monotonic_s()
        if self._looked_s is None or now_s - self._looked_s >= LOOK_EVERY_S:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._free_bytes = shutil.disk_usage(self._folder).free
            self._looked_s = now_s
        return self._free_bytes

    def _restart_search(self) -> None:
        self._searched_s = self._clock.monotonic_s()
        self._after = dict.fromkeys(Worth, 0)  # how far the ledger was searched
        self._found: dict[Worth, deque[Kept]] = {w: deque() for w in Worth}

    def _least_worthy(self, most: Worth) -> Iterator[tuple[Kept, Worth] | None]:
        """Frames to remove for one that is worth `most`; None after a window without any."""
        for worth in (w for w in Worth if w <= most and w is not Worth.PROTECTED):
            while True:
                while self._found[worth]:
                    yield self._found[worth].popleft(), worth
                if not self._search(worth):
                    break
                if not self._found[worth]:
                    yield None

    def _search(self, worth: Worth) -> bool:
        """Read the next window of kept frames for those of this worth; False at the end."""
        with self._ledger.reading() as db:
            rows = db.execute(_KEPT, (self._after[worth], WINDOW)).fetchall()
        for row in rows:
            its_worth = self.worth(
                Verdict(row["verdict"]), reviewed=row["reviewed"], disputed=row["disputed"]
            )
            if its_worth is worth:
                self._found[worth].append(Kept(row["id"], row["image"]))
            self._after[worth] = row["seq"]
        return bool(rows)

    def _size(self, kept: Kept) -> int | None:
        try:
            return (self._folder / kept.path).stat().st_size
        except FileNotFoundError:
            return None

    def _remove(self, batch: Sequence[tuple[Kept, Worth, int]]) -> None:
        # The name first: a crash in between must not leave a record that names a missing file.
        forgotten = []
        try:
            with self._ledger.writing() as db:
                for kept, worth, size in batch:
                    if db.execute(_FORGET, (kept.id, kept.path)).rowcount:
                        forgotten.append((kept, worth, size))
        except LedgerError:
            for kept, worth, _ in reversed(batch):
                self._found[worth].appendleft(kept)
            raise
        for i, (kept, worth, size) in enumerate(forgotten):
            path = self._folder / kept.path
            try:
                path.unlink(missing_ok=True)
            except OSError:
                for left, _, _ in forgotten[i:]:
                    self._ledger.note_image(left.id, left.path)
                raise
            self.kept_bytes -= size
            self._free_bytes += size
            self.removed[worth] += 1
            log.debug("%s was removed to make room", path)
            with suppress(OSError):  # most days have others left
                path.parent.rmdir()
