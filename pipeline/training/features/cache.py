"""Cache of computed vectors, by a hash of all that they depend on: one SQLite file.

Nothing depends on it. Every vector is checked by its hash when it is read, a file that is damaged
is made again, and one that is locked, full or out of reach is not used; each is logged once.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float32]
LIMIT_BYTES = 2 * 2**30
PATIENCE_S = 10.0
LARGEST = 512 * 2**20  # of what is recalled: SQLite itself takes no more than 1e9 bytes at once
WRITTEN_TOGETHER = 64  # what a kill loses

# ValueError and OverflowError: of a damaged file even messages and numbers may be no such.
_UNUSABLE = (OSError, sqlite3.Error, ValueError, OverflowError)
# ERROR: a table or column of that name is not there.
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
# Without waiting for the disk: what a power cut damages, the checksums find.
# `entry` is apart from `vector`, so that noting a use does not write the vector again.
_LAYOUT = """
    PRAGMA auto_vacuum = FULL;
    PRAGMA synchronous = OFF;
    CREATE TABLE IF NOT EXISTS vector (key TEXT PRIMARY KEY, checksum BLOB, data BLOB);
    CREATE TABLE IF NOT EXISTS entry (key TEXT PRIMARY KEY, last_used INTEGER, bytes INTEGER)
        WITHOUT ROWID;
"""
# The cast: in a damaged file the type of a value may be another.
_QUERY = "SELECT checksum, CAST(data AS BLOB) FROM vector WHERE key = ?"

# Finds what was computed before by its key, or computes and keeps it: `FeatureCache.recall`.
Recall: TypeAlias = Callable[[str, Callable[[], bytes]], bytes]


def compute_again(key: str, make: Callable[[], bytes]) -> bytes:
    """A `Recall` that keeps nothing."""
    return make()


class FeatureCache:
    """The vectors of one recipe; `recall` is for any thread, the others for one.

    Several trainings may share the file: each writes for moments only, and waits for the others.

    Attributes:
        asked, found: how many vectors were looked for, and were there and intact.
    """

    def __init__(
        self, file: Path, limit_bytes: int = LIMIT_BYTES, patience_s: float = PATIENCE_S
    ) -> None:
        """Name the file; it need not exist.

        Args:
            file: the database.
            limit_bytes: of all vectors. Beyond it those go that were not used for longest, but
                none that this training used.
            patience_s: how long to wait for other processes.
        """
        self.asked = self.found = 0
        self._file, self._limit_bytes, self._patience_s = file, limit_bytes, patience_s
        self._usable, self._computed_again = True, False
        self._pending: dict[str, bytes] = {}
        self._used: dict[str, int] = {}  # their bytes
        self._training = 0  # its number, from 1; 0 while unknown
        self._lock = threading.Lock()

    def find(self, keys: Sequence[str]) -> Iterator[tuple[int, Floats]]:
        """Yield the position and the vector of each key that is known, float32 D."""
        self.asked += len(keys)
        for position, data in self._find(keys):
            self.found += 1
            yield position, np.frombuffer(data, np.float32)

    def _find(self, keys: Sequence[str]) -> Iterator[tuple[int, bytes]]:
        if not self._usable:
            return
        damaged = 0
        try:
            with closing(self._connect()) as db:
                for position, key in enumerate(keys):
                    row = db.execute(_QUERY, (key,)).fetchone()
                    if row is None:
                        continue
                    checksum, data = row
                    if data is None or checksum != _checksum(key, data):
                        damaged += 1
                        continue
                    self._used[key] = len(data)
                    yield position, data
        except _UNUSABLE as error:
            self._give_up(error)
        if damaged:
            log.warning("%s: damaged rows, computed again: %d", self._file, damaged)

    def put(self, key: str, vector: Floats) -> None:
        """Keep a vector float32 D; it is written at `flush` at the latest."""
        self._pending[key] = vector.tobytes()
        if len(self._pending) == WRITTEN_TOGETHER:
            self._write()

    def recall(self, key: str, make: Callable[[], bytes]) -> bytes:
        """Any other data by its key; computed and, unless huge, stored where it is unknown."""
        with self._lock:
            found = dict(self._find([key])).get(0)
        made = make() if found is None else found
        with self._lock:
            if found is None and len(made) <= LARGEST:
                self._pending[key] = made
            self.flush()
        return made

    def flush(self) -> None:
        """Write what is pending and what was used, and drop what exceeds the limit."""
        self._write(last=True)

    def _write(self, last: bool = False) -> None:
        new = [(key, _checksum(key, data), data) for key, data in self._pending.items()]
        used = self._used | {key: len(data) for key, data in self._pending.items()}
        self._pending, self._used = {}, {}
        if not self._usable:
            return
        try:
            with closing(self._connect()) as db, db:
                noted = [(key, self._training, size) for key, size in used.items()]
                db.executemany("INSERT OR REPLACE INTO vector VALUES (?, ?, ?)", new)
                db.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?, ?)", noted)
                if last:
                    self._drop_oldest(db)
        except _UNUSABLE as error:
            self._give_up(error)

    def _drop_oldest(self, db: sqlite3.Connection) -> None:
        (total,) = db.execute("SELECT sum(CAST(bytes AS INT)) FROM entry").fetchone()
        excess = (total or 0) - self._limit_bytes
        idle = "SELECT key, CAST(bytes AS INT) FROM entry WHERE last_used < ? ORDER BY last_used"
        dropped = []
        for key, size in db.execute(idle, (self._training,)):
            if excess <= 0:
                break
            dropped.append((key,))
            excess -= size
        db.executemany("DELETE FROM vector WHERE key = ?", dropped)
        db.executemany("DELETE FROM entry WHERE key = ?", dropped)

    def _connect(self) -> sqlite3.Connection:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self._file, self._patience_s, isolation_level="IMMEDIATE")
        try:
            db.executescript(_LAYOUT)
            if not self._training:
                (last,) = db.execute("SELECT max(CAST(last_used AS INT)) FROM entry").fetchone()
                self._training = (last or 0) + 1
        except BaseException:
            db.close()
            raise
        return db

    def _give_up(self, error: Exception) -> None:
        """Start again where the file is damaged, but once; else go on without a cache."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        damaged = code in _DAMAGED or isinstance(error, (ValueError, OverflowError))
        self._usable = damaged and not self._computed_again and self._remove()
        if self._usable:
            self._computed_again = True
            log.warning("%s is damaged (%s): it was removed and is made again", self._file, error)
        else:
            log.warning("%s cannot be used (%s): training goes on without it", self._file, error)

    def _remove(self) -> bool:
        try:
            for suffix in ("-journal", ""):
                Path(f"{self._file}{suffix}").unlink(missing_ok=True)
        except OSError:
            return False
        return True


def _checksum(key: str, data: bytes) -> bytes:
    return hashlib.sha256(key.encode() + data).digest()
