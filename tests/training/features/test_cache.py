"""The cache of features: what was computed is found whole, and nothing else ever is."""

from __future__ import annotations

import logging
import resource
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.training.features import cache
from pipeline.training.features.cache import FeatureCache

Floats = npt.NDArray[np.float32]
WIDTH = 1000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cache/features/cells.sqlite"


def vectors(n: int, seed: int = 0) -> dict[str, Floats]:
    rng = np.random.default_rng(seed)
    return {f"{seed}-{i}": rng.standard_normal(WIDTH).astype(np.float32) for i in range(n)}


def keep(file: Path, known: dict[str, Floats], **settings: float) -> FeatureCache:
    """As a training does: look for all, compute what is missing, keep it."""
    cache = FeatureCache(file, **settings)  # type: ignore[arg-type]
    there = {position for position, _ in cache.find(list(known))}
    for position, (key, vector) in enumerate(known.items()):
        if position not in there:
            cache.put(key, vector)
    cache.flush()
    return cache


def found(file: Path, known: dict[str, Floats]) -> set[str]:
    """The keys that are found, each with the vector that was kept."""
    keys = list(known)
    got = dict(FeatureCache(file).find(keys))
    for position, vector in got.items():
        np.testing.assert_array_equal(vector, known[keys[position]])
    return {keys[position] for position in got}


def test_what_was_kept_is_found_and_nothing_else(file: Path) -> None:
    known = vectors(100)
    keep(file, known)
    assert found(file, known) == set(known)
    assert found(file, vectors(3, seed=1)) == set()


def test_it_is_reported_how_many_were_found(file: Path) -> None:
    keep(file, vectors(5))
    cache = keep(file, vectors(8))
    assert (cache.asked, cache.found) == (8, 5)


def test_what_was_computed_before_a_kill_is_found(file: Path) -> None:
    known = vectors(2 * cache.WRITTEN_TOGETHER + 1)
    killed = FeatureCache(file)
    for key, vector in known.items():
        killed.put(key, vector)
    assert found(file, known) == set(known) - {list(known)[-1]}


def test_a_changed_byte_costs_one_row_and_is_reported(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    known = vectors(20)
    keep(file, known)
    content = bytearray(file.read_bytes())
    place = content.find(known["0-7"].tobytes()[:64])
    content[place + 10] ^= 1
    file.write_bytes(content)
    assert found(file, known) == set(known) - {"0-7"}
    assert "damaged rows, computed again: 1" in caplog.text
    keep(file, known)
    assert found(file, known) == set(known)


def test_a_vector_under_the_key_of_another_is_not_believed(file: Path) -> None:
    known = vectors(2)
    keep(file, known)
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("UPDATE vector SET key = 'aside' WHERE key = '0-0'")
        db.execute("UPDATE vector SET key = '0-0' WHERE key = '0-1'")
    assert found(file, known) == set()


def test_a_file_damaged_anywhere_gives_the_right_vectors_or_none(file: Path) -> None:
    known = vectors(30)
    keep(file, known)
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(40):
        content = np.frombuffer(whole, np.uint8).copy()
        # Most of the file is vectors: the pages that hold the structure are hit as often.
        reach = len(whole) if rng.random() < 0.5 else 12_288
        content[rng.integers(0, reach, 40)] = rng.integers(0, 256, 40)
        file.write_bytes(content.tobytes())
        found(file, known)
        keep(file, known)
        assert found(file, known) <= set(known)


@pytest.mark.parametrize("content", [b"PAR1 no database" * 100, b"cut"])
def test_a_file_that_is_not_a_database_is_made_again(
    file: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    known = vectors(3)
    keep(file, known)
    file.write_bytes(content)
    keep(file, known)
    assert found(file, known) == set(known)
    (said,) = caplog.messages
    assert "cells.sqlite is damaged" in said
    assert "it was removed and is made again" in said


def test_a_truncated_file_is_made_again(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    known = vectors(30)
    keep(file, known)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    keep(file, known)
    keep(file, known)
    assert found(file, known) == set(known)
    assert "made again" in caplog.text


def test_a_database_of_something_else_is_made_again(file: Path) -> None:
    file.parent.mkdir(parents=True)
    with closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE vector (id INTEGER)")
    known = vectors(3)
    keep(file, known)
    assert found(file, known) == set(known)


def test_a_locked_file_is_done_without_and_reported_once(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    known = vectors(3)
    keep(file, known)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        cache = keep(file, known, patience_s=0)
    assert cache.found == 0
    (said,) = caplog.messages
    assert "cannot be used (database is locked): training goes on without it" in said
    assert found(file, known) == set(known)


def test_a_full_disk_stops_the_cache_and_not_the_training(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before, after = vectors(10), vectors(400, seed=1)
    keep(file, before)
    with no_file_beyond(file.stat().st_size + 100_000):
        keep(file, after)
    assert "training goes on without it" in caplog.text
    assert found(file, before) == set(before)


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """No file can grow beyond that many bytes: the disk's own way of being full, in one process."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_place_that_cannot_be_written_is_gone_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    keep(tmp_path / "file/features.sqlite", vectors(3))
    (said,) = caplog.messages
    assert "training goes on without it" in said


def test_two_trainings_at_once_share_what_they_compute(file: Path) -> None:
    first, second = FeatureCache(file), FeatureCache(file)
    mine, yours = vectors(100), vectors(100, seed=1)
    for (a, x), (b, y) in zip(mine.items(), yours.items(), strict=True):
        first.put(a, x)
        second.put(b, y)
        first.put(b, y)
    first.flush()
    second.flush()
    assert found(file, mine | yours) == {*mine, *yours}


def test_beyond_the_limit_what_was_not_used_for_longest_goes(file: Path) -> None:
    old, used, new = vectors(10), vectors(10, seed=1), vectors(10, seed=2)
    keep(file, old)
    keep(file, used)
    limit = 20 * WIDTH * 4
    keep(file, used | new, limit_bytes=limit)
    assert found(file, old | used | new) == {*used, *new}
    keep(file, old | new, limit_bytes=limit)
    assert found(file, old | used | new) == {*old, *new}


def test_space_that_was_freed_is_given_back(file: Path) -> None:
    keep(file, vectors(300))
    size = file.stat().st_size
    keep(file, vectors(3, seed=1), limit_bytes=0)
    assert file.stat().st_size < size / 5


def test_what_a_training_uses_stays_even_beyond_the_limit(file: Path) -> None:
    known = vectors(20)
    keep(file, known, limit_bytes=10)
    assert found(file, known) == set(known)


def test_nothing_is_logged_when_nothing_is_wrong(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    keep(file, vectors(3))
    keep(file, vectors(3))
    assert caplog.messages == []


def test_what_is_recalled_is_made_once_and_again_where_it_is_damaged(file: Path) -> None:
    made = []

    def make() -> bytes:
        made.append(1)
        return b"a graph, for instance"

    for _ in range(2):
        assert FeatureCache(file).recall("graph", make) == b"a graph, for instance"
    assert len(made) == 1
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("UPDATE vector SET data = x'00'")
    assert FeatureCache(file).recall("graph", make) == b"a graph, for instance"
    assert len(made) == 2


def found_whole(file: Path, *keys: str) -> list[str]:
    """Those that need not be made again."""
    made = []

    def remake() -> bytes:
        made.append(1)
        return b""

    there = []
    for key in keys:
        FeatureCache(file).recall(key, remake)
        there += [] if made else [key]
        made.clear()
    return there


def test_what_was_recalled_lately_outlives_what_was_not(file: Path) -> None:
    whole = bytes(1000)
    FeatureCache(file).recall("old", lambda: whole)
    FeatureCache(file).recall("used", lambda: whole)
    FeatureCache(file).recall("old", lambda: whole)
    FeatureCache(file, limit_bytes=2000).recall("new", lambda: whole)
    assert found_whole(file, "old", "new", "used") == ["old", "new"]


def test_threads_may_recall_at_the_same_time(file: Path) -> None:
    cache = FeatureCache(file)
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda i: cache.recall(str(i % 4), lambda: bytes([i % 4])), range(64)))
    assert got == [bytes([i % 4]) for i in range(64)]
