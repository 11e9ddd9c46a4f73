"""`lineside run` as a real process: signals, crashes, and a machine without torch."""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol

import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.daemon.ledger import Ledger
from pipeline.daemon.line import Line
from pipeline.registry.push import push
from pipeline.registry.store import Registry
from tests.judgements import judged
from tests.registry.conftest import mlflow_server

__all__ = ["mlflow_server"]

TIMEOUT_S = 60
# What a plain `pip install .` does not bring must not be asked for.
BLOCKED = (
    "torch", "torchvision", "timm", "albumentations", "pytorch_lightning", "pandas", "pyarrow",
    "onnx", "sklearn", "scipy", "matplotlib", "dvc",
)  # fmt: skip
PLAIN = f"import sys; sys.modules.update(dict.fromkeys({BLOCKED})); from pipeline.cli import main"
# Nor what opens databases: a station asks a server.
NO_SQL = "import sys; sys.modules.update(dict.fromkeys(('sqlalchemy', 'alembic', 'mako')))"
# Hangs at the third part (the first inspection is the warm-up), as a broken driver would.
HANGING = """
import itertools, time, pipeline.inference.inspector as module
inspect, seen = module.Inspector.inspect, itertools.count()
def hang(self, rgb):
    if next(seen) == 3:
        time.sleep(600)
    return inspect(self, rgb)
module.Inspector.inspect = hang
"""

LineFile = Callable[..., Path]


class Start(Protocol):
    """Starts `lineside run`, after some more Python if there is any."""

    def __call__(self, file: Path, first: str = "") -> subprocess.Popen[str]: ...


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a station; whatever is still running at the end of the test is killed."""
    running: list[subprocess.Popen[str]] = []

    def call(file: Path, first: str = "") -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", f"{PLAIN}\n{first}\nmain()", "run", str(file)],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield call
    for process in running:
        process.kill()
        process.communicate()


def wait_for(condition: str, ledger: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a query on the ledger of a running station is true."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        if ledger.exists():
            with closing(sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True)) as reader:
                tables = reader.execute("SELECT 1 FROM sqlite_master").fetchone()
                if tables and reader.execute(f"SELECT {condition} FROM records").fetchone()[0]:
                    return
        time.sleep(0.05)
    process.kill()
    pytest.fail(f"{condition} never came true: {process.communicate()}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_station_with_a_summary(
    line: Line, line_file: LineFile, champion: Registry, start: Start, number: signal.Signals
) -> None:
    process = start(line_file(loop="true", rate_hz=50))
    wait_for("max(seq) > 2", line.ledger, process)
    process.send_signal(number)
    said, complaints = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, complaints
    assert "triggers" in said
    assert "cells/1" in said
    assert "Traceback" not in complaints
    account = Ledger(line.ledger, "west-1").account()
    assert account.balances
    assert re.search(rf"triggers\s+\D*{account.triggers}\b", said)


def test_record_open_at_a_kill_is_closed_at_the_next_start(
    line: Line, line_file: LineFile, champion: Registry, start: Start
) -> None:
    hanging = start(line_file(loop="true"), first=HANGING)
    wait_for("count(*) FILTER (WHERE seq = 4 AND verdict IS NULL)", line.ledger, hanging)
    hanging.kill()
    hanging.wait(TIMEOUT_S)
    again = start(line_file())
    _, complaints = again.communicate(timeout=TIMEOUT_S)
    assert again.returncode == 0, complaints
    assert "1 record(s) left open by a crash are now NOT_INSPECTED" in complaints
    ledger = Ledger(line.ledger, "west-1")
    records = list(ledger.records())
    lost = [r.serial for r in records if r.reason == "station restarted"]
    assert lost == ["tray/d_doubt.png"]
    assert ledger.account().triggers == len(records) == 8


def test_station_ends_by_itself_when_the_replay_does(
    line: Line, line_file: LineFile, champion: Registry, start: Start
) -> None:
    process = start(line_file())
    said, complaints = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, complaints
    assert Ledger(line.ledger, "west-1").account().triggers == 4
    assert "every trigger accounted for" in said


def test_station_takes_its_model_from_a_server_without_what_opens_databases(
    line: Line,
    line_file: LineFile,
    mlflow_server: str,
    sealed_bundle: Bundle,
    start: Start,
) -> None:
    there = Registry(mlflow_server)
    push(there, "cells", sealed_bundle, judged(sealed_bundle))
    there.promote("cells", 1, "A. Weber", "first release")
    file = line_file()
    file.write_text(file.read_text().replace(str(line.model.registry), mlflow_server))
    process = start(file, first=NO_SQL)
    said, complaints = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, complaints
    assert "cells/1" in said
    assert Ledger(line.ledger, "west-1").account().balances


def test_a_registry_that_is_a_database_names_the_extra_that_opens_it(
    line: Line, line_file: LineFile, champion: Registry, start: Start
) -> None:
    process = start(line_file(), first=NO_SQL)
    _, complaints = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 2, complaints
    complaint = " ".join(complaints.split())
    assert "a database, needs the package alembic" in complaint
    assert "'.[sql]'" in complaint
    assert "Traceback" not in complaint
