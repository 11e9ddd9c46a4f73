"""A plant to break: stations as real processes, with their last good model, and their accounts.

Each test breaks one thing and then asks the same: does the equation hold, did nothing crash, and
how long until the next verdict? `make soak` breaks things longer and more often.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

import pipeline
from pipeline.contracts.bundle import Bundle
from pipeline.imaging import codec
from pipeline.registry.store import Registry
from tests.conftest import RECOVERY
from tests.daemon.conftest import champion, keep, picture, promoted

__all__ = ["champion", "promoted"]

SOAK = bool(os.environ.get("LINESIDE_SOAK"))
DEADLINE_S = 60.0
JUDGED = "verdict IN ('PASS', 'FAIL', 'REVIEW')"
SOURCES = Path(pipeline.__file__).parents[1]
COMMAND = "from pipeline.cli import main\nmain()"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the long form out unless it is asked for."""
    if not SOAK:
        for item in items:
            if item.get_closest_marker("soak"):
                item.add_marker(pytest.mark.skip(reason="long: make soak"))


def eventually(true: Callable[[], Any], what: str, within_s: float = DEADLINE_S) -> Any:
    """Poll until something is true and return it; fails with `what` after the deadline."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if found := true():
            return found
        time.sleep(0.02)
    return pytest.fail(f"not within {within_s:.0f} s: {what}")


class Book:
    """A station's ledger, read beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows; none while there is no ledger."""
        if not self.path.is_file():
            return []
        with closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True, timeout=10)) as db:
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'records'").fetchone():
                return []
            return db.execute(query, values).fetchall()

    def count(self, condition: str = "1", *values: object) -> int:
        """How many records fulfil a condition."""
        rows = self.ask(f"SELECT count(*) FROM records WHERE {condition}", *values)
        return int(rows[0][0]) if rows else 0

    @property
    def closed(self) -> int:
        """How many records bear a verdict."""
        return self.count("verdict IS NOT NULL")

    @property
    def closed_ids(self) -> list[str]:
        """Records that bear a verdict, in the order of their triggers."""
        return self.delivered("nobody")

    def due(self, sink: str) -> int:
        """How many letters wait for a sink."""
        return int(self.ask("SELECT count(*) FROM outbox WHERE sink = ?", sink)[0][0])

    def delivered(self, sink: str) -> list[str]:
        """Closed records that do not wait for a sink: either it has them, or they are lost."""
        rows = self.ask(
            "SELECT id FROM records WHERE verdict IS NOT NULL "
            "AND id NOT IN (SELECT record FROM outbox WHERE sink = ?) ORDER BY seq",
            sink,
        )
        return [identity for (identity,) in rows]

    def assert_no_part_was_missed(self) -> None:
        """What was replayed in a circle stands there in a circle."""
        rows = self.ask("SELECT serial FROM records ORDER BY captured_at, seq")
        serials = [serial for (serial,) in rows]
        first = sorted(set(serials)).index(serials[0])
        circle = sorted(set(serials))
        assert serials == [circle[(first + i) % len(circle)] for i in range(len(serials))]

    def assert_balanced(self) -> None:
        """Every number that was ever given has its record, and every record its verdict."""
        given = self.ask("SELECT seq FROM sqlite_sequence WHERE name = 'records'")
        triggers = given[0][0] if given else 0
        assert self.count("verdict IS NULL") == 0
        assert self.closed == triggers


@dataclass
class Running:
    """A station at work."""

    process: subprocess.Popen[bytes]
    book: Book
    log: Path

    @property
    def logged(self) -> str:
        """All that it has logged."""
        return self.log.read_text("utf-8", "replace")

    def wait_for(self, true: Callable[[], Any], what: str, within_s: float = DEADLINE_S) -> Any:
        """Poll until something is true, while the station runs."""

        def check() -> Any:
            assert self.process.poll() is None, f"the station ended: {self.logged}"
            return true()

        return eventually(check, f"{what}\n{self.log}", within_s)

    def wait_for_more(
        self, n: int = 3, condition: str = "verdict IN ('PASS','FAIL','REVIEW')"
    ) -> float:
        """Wait for further judged parts; returns the seconds that took."""
        before, started = self.book.count(condition), time.monotonic()
        self.wait_for(lambda: self.book.count(condition) >= before + n, f"{n} more: {condition}")
        return time.monotonic() - started

    def wait_for_words(self, words: str, times: int = 1) -> None:
        """Wait until its log contains some words so many times."""
        self.wait_for(lambda: self.logged.count(words) >= times, f"to be logged: {words}")

    def wait_for_none_due(self, sink: str) -> float:
        """Wait until a sink's outbox is empty; returns the seconds that took."""
        started = time.monotonic()
        self.wait_for(
            lambda: self.book.due(sink) < 3, f"outbox entries for {sink}"
        )  # more come at 50 Hz
        return time.monotonic() - started

    def end(self) -> None:
        """SIGTERM; the station ends well, without a traceback, and its account balances."""
        assert self.process.poll() is None, f"the station ended: {self.logged}"
        self.process.terminate()
        assert self.process.wait(DEADLINE_S) == 0, self.logged
        assert "Traceback" not in self.logged
        self.book.assert_balanced()

    @contextmanager
    def looking_away(self) -> Iterator[None]:
        """Nothing happens in its process while the block runs."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(DEADLINE_S)


class Plant:
    """Writes line files and starts stations."""

    def __init__(self, home: Path, registry: str) -> None:
        self.home = home
        self.registry = registry
        self.book = Book(home / "station" / "ledger.sqlite")
        self._running: list[Running] = []

    def line(self, **changes: object) -> Path:
        """A line file: four parts replayed for ever at 50 Hz, and what a test changes."""
        settings: dict[str, object] = {
            "station": "west-1",
            "recipe": "cells",
            "model": {"registry": self.registry, "cache": "models", "poll_s": 0},
            "source": {"type": "replay", "path": "parts", "rate_hz": 50, "loop": True},
            "ledger": "station/ledger.sqlite",
            "supervision": {"hung_after_s": 5, "drain_s": 5},
            "threads": 1,
        }
        for key, value in changes.items():
            known = settings.get(key)
            if isinstance(known, dict) and isinstance(value, Mapping) and "type" not in value:
                settings[key] = {**known, **value}
            else:
                settings[key] = value
        path = self.home / "line.yaml"
        written = {k: v for k, v in settings.items() if v is not None}
        path.write_text(yaml.safe_dump(written, sort_keys=False), "utf-8")
        return path

    def start(
        self,
        file: Path,
        env: Mapping[str, str] | None = None,
        first: str = "",
        user: int | None = None,
    ) -> Running:
        """Start a station, after some more Python if there is any, as another user if asked."""
        log = self.home / f"log-{len(self._running)}.txt"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-c", f"{first}\n{COMMAND}", "run", str(file)],
                cwd=self.home,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(SOURCES), **(env or {})},
                user=user,
                group=user,
                extra_groups=None if user is None else (),
            )
        running = Running(process, self.book, log)
        self._running.append(running)
        return running

    def inspecting(self, file: Path, **more: Any) -> Running:
        """Start a station and wait until it inspects."""
        running = self.start(file, **more)
        running.wait_for_more(1)
        return running

    def audit(self, file: Path) -> dict[str, Any]:
        """What `lineside audit` says; the equation must hold."""
        return self._asked("audit", file)

    def send_again(self, file: Path, sink: str) -> None:
        """Have `lineside outbox` send a sink all records once more, beside the running station."""
        assert self._asked("outbox", file, "--replay", sink, "--since", "2000-01-01")["queued"]

    def _asked(self, verb: str, file: Path, *options: str) -> dict[str, Any]:
        command = [sys.executable, "-c", COMMAND, verb, "--json", str(file), *options]
        env = {**os.environ, "PYTHONPATH": str(SOURCES)}
        done = subprocess.run(command, cwd=self.home, env=env, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def stop(self) -> None:
        """Kill what still runs."""
        for running in self._running:
            if running.process.poll() is None:
                running.kill()


@pytest.fixture
def plant(tmp_path: Path, sealed_bundle: Bundle) -> Iterator[Plant]:
    """A plant with four parts: a good one, a bad one, a damaged file and one in doubt.

    Its registry is away, so that its stations start with the last good model, in a second;
    what concerns the registry has `plant_with_registry`.
    """
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "a_good.png").write_bytes(codec.encode_png(picture(200)))
    (folder / "b_bad.png").write_bytes(codec.encode_png(picture(50)))
    (folder / "c_damaged.png").write_bytes(b"\x89PNG and then nothing")
    (folder / "d_doubt.png").write_bytes(codec.encode_png(picture(128)))
    made = Plant(tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}")
    keep(sealed_bundle, tmp_path / "models")
    yield made
    made.stop()


@pytest.fixture
def plant_with_registry(plant: Plant, champion: Registry) -> Plant:
    """The same, but its stations are new and take the champion from the registry."""
    shutil.rmtree(plant.home / "models")
    assert plant.registry == champion.uri
    return plant


@pytest.fixture
def recovered(record_property: Callable[[str, object], None]) -> Callable[[str, float], None]:
    """Have a recovery time printed at the end of the run."""

    def note(what: str, seconds: float) -> None:
        record_property(RECOVERY, f"{what} after {seconds:.2f} s")

    return note


def lines_of(folder: Path) -> list[dict[str, Any]]:
    """The whole lines of a JSONL sink's files."""
    texts = [
        line
        for file in sorted(folder.glob("*.jsonl"))
        for line in file.read_text("utf-8").splitlines(keepends=True)
    ]
    return [json.loads(line) for line in texts if line.endswith("\n")]
