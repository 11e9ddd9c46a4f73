"""`lineside run` as a real process: signals, crashes, and a machine without torch."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.daemon.settings.line import Line
from pipeline.ledger.ledger import Ledger
from pipeline.registry.decisions.review import Review
from pipeline.registry.push import push
from pipeline.registry.store import Registry
from tests.judgements import judged
from tests.registry.conftest import mlflow_server

pytestmark = pytest.mark.slow

__all__ = ["mlflow_server"]

TIMEOUT_S = 60
# The code beside these tests, whatever else is installed.
ENV = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
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

    def __call__(self, file: Path, *options: str, first: str = "") -> subprocess.Popen[str]: ...


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a station; whatever is still running at the end of the test is killed."""
    running: list[subprocess.Popen[str]] = []

    def call(file: Path, *options: str, first: str = "") -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", f"{PLAIN}\n{first}\nmain()", "run", str(file), *options],
            cwd=tmp_path,
            env=ENV,
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


def asked(condition: str, ledger: Path, table: str = "records") -> Any:
    """The answer to a query on the ledger of a running station; None while there is none."""
    if not ledger.exists():
        return None
    with contextlib.closing(sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True)) as reader:
        known = f"SELECT 1 FROM sqlite_master WHERE name = '{table}'"
        if reader.execute(known).fetchone() is None:
            return None
        return reader.execute(f"SELECT {condition} FROM {table}").fetchone()[0]


def wait_for(
    condition: str, ledger: Path, process: subprocess.Popen[str], table: str = "records"
) -> None:
    """Wait until a query on the ledger of a running station is true."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        if asked(condition, ledger, table):
            return
        time.sleep(0.05)
    process.kill()
    pytest.fail(f"{condition} never came true: {process.communicate()}")


@pytest.mark.parametrize(
    ("number", "model"), [(signal.SIGTERM, "champion"), (signal.SIGINT, "kept_model")]
)
def test_signal_ends_the_station_with_a_summary(
    line: Line,
    line_file: LineFile,
    start: Start,
    number: signal.Signals,
    model: str,
    request: pytest.FixtureRequest,
) -> None:
    request.getfixturevalue(model)
    process = start(line_file(loop="true", rate_hz=50))
    wait_for("max(seq) > 2", line.ledger, process)
    process.send_signal(number)
    output, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, errors
    assert "triggers" in output
    assert "cells/1" in output
    assert "Traceback" not in errors
    account = Ledger(line.ledger, "west-1").account()
    assert account.balances
    assert re.search(rf"triggers\s+\D*{account.triggers}\b", output)


def test_record_open_at_a_kill_is_closed_at_the_next_start(
    line: Line, line_file: LineFile, kept_model: Bundle, start: Start
) -> None:
    hanging = start(line_file(loop="true"), first=HANGING)
    done, at_work = "seq < 4 AND verdict IS NOT NULL", "seq = 4 AND verdict IS NULL"
    three_and_one = f"count(*) FILTER (WHERE {done}) = 3 AND count(*) FILTER (WHERE {at_work})"
    wait_for(three_and_one, line.ledger, hanging)
    hanging.kill()
    hanging.wait(TIMEOUT_S)
    again = start(line_file())
    _, errors = again.communicate(timeout=TIMEOUT_S)
    assert again.returncode == 0, errors
    ledger = Ledger(line.ledger, "west-1")
    records = list(ledger.records())
    lost = [r.serial for r in records if r.reason == "station restarted"]
    assert f"{len(lost)} record(s) left open by a crash are now NOT_INSPECTED" in errors
    assert lost[0] == "tray/d_doubt.png"
    assert ledger.account().triggers == len(records)


def test_station_ends_by_itself_when_the_replay_does(
    line: Line, line_file: LineFile, kept_model: Bundle, start: Start
) -> None:
    process = start(line_file())
    output, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, errors
    assert Ledger(line.ledger, "west-1").account().triggers == 4
    assert "every trigger has one verdict" in output


def test_sigterm_under_load_finishes_what_waits(
    line: Line, line_file: LineFile, kept_model: Bundle, start: Start
) -> None:
    process = start(line_file(loop="true"))
    wait_for("max(seq) > 100", line.ledger, process)
    process.terminate()
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, errors
    ledger = Ledger(line.ledger, "west-1")
    assert ledger.closed_at_start == 0
    assert ledger.account().balances
    assert not [r for r in ledger.records() if r.reason.startswith("station stopped")]


def change(file: Path, old: str, new: str) -> None:
    """Edit a line file."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_sighup_puts_the_changed_line_file_to_work_and_loses_nothing(
    line: Line, line_file: LineFile, champion: Registry, start: Start, tmp_path: Path
) -> None:
    file = line_file(loop="true", rate_hz=100)
    process = start(file)
    wait_for("max(seq) > 2", line.ledger, process)
    other = tmp_path / "station" / "other.sqlite"
    change(file, str(line.ledger), str(other))
    process.send_signal(signal.SIGHUP)
    wait_for("max(seq) > 2", other, process)
    process.terminate()
    output, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, errors
    assert "line reloaded" in errors
    assert "other.sqlite" in output
    assert asked("count(*) FILTER (WHERE kind = 'line reloaded')", other, "events") == 1
    for path in (line.ledger, other):
        ledger = Ledger(path, "west-1")
        assert ledger.closed_at_start == 0
        assert ledger.account().balances


REFUSALS = {
    "a key nobody knows": ("threads: 1", "treads: 1", "did you mean"),
    "a folder that is not there": ("/parts", "/nowhere", "is not a folder"),
    "a recipe without a champion": ("recipe: cells", "recipe: wheels", "wheels"),
    "no YAML": ("source:", "source: [", "line.yaml"),
}


@pytest.mark.parametrize("why", REFUSALS)
def test_sighup_with_a_bad_line_file_is_refused_and_the_station_goes_on(
    line: Line, line_file: LineFile, start: Start, why: str, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue("champion" if "champion" in why else "kept_model")
    file = line_file(loop="true", rate_hz=50)
    process = start(file)
    wait_for("max(seq) > 2", line.ledger, process)
    old, new, error = REFUSALS[why]
    change(file, old, new)
    process.send_signal(signal.SIGHUP)
    wait_for("count(*) FILTER (WHERE kind = 'reload refused')", line.ledger, process, "events")
    came = asked("max(seq)", line.ledger)
    wait_for(f"max(seq) > {came + 2}", line.ledger, process)
    process.terminate()
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, errors
    assert "reload refused" in errors
    assert error in errors
    assert errors.count("inspects with") == 1
    assert "Traceback" not in errors
    assert Ledger(line.ledger, "west-1").account().balances


def test_line_that_cannot_be_put_together_after_all_gives_way_to_the_former_one(
    line: Line, line_file: LineFile, kept_model: Bundle, start: Start, tmp_path: Path
) -> None:
    another = tmp_path / "another.sqlite"
    Ledger(another, "east-1").close()
    file = line_file(loop="true", rate_hz=50)
    process = start(file)
    wait_for("max(seq) > 2", line.ledger, process)
    change(file, str(line.ledger), str(another))
    process.send_signal(signal.SIGHUP)
    wait_for("count(*) FILTER (WHERE kind = 'reload refused')", line.ledger, process, "events")
    came = asked("max(seq)", line.ledger)
    wait_for(f"max(seq) > {came + 2}", line.ledger, process)
    process.terminate()
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, errors
    assert 'is the ledger of station "east-1"' in errors
    assert Ledger(line.ledger, "west-1").account().balances


def test_part_at_a_hung_inspection_is_not_inspected_and_the_line_goes_on(
    line: Line, line_file: LineFile, kept_model: Bundle, start: Start
) -> None:
    file = line_file(loop="true", rate_hz=20)
    file.write_text(file.read_text() + "supervision:\n  hung_after_s: 2\n")
    process = start(file, first=HANGING)
    wait_for("count(*) FILTER (WHERE reason LIKE 'inspection lost: %')", line.ledger, process)
    wait_for("count(*) FILTER (WHERE verdict = 'REVIEW') > 1", line.ledger, process)
    process.terminate()
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, errors
    ledger = Ledger(line.ledger, "west-1")
    assert ledger.account().balances
    lost = [r for r in ledger.records() if r.reason.startswith("inspection lost: no sign of life")]
    assert lost[0].serial == "tray/d_doubt.png"
    assert "inspection: no sign of life for 2 s" in errors


def test_station_that_cannot_go_on_ends_with_exit_code_3(
    line: Line, line_file: LineFile, kept_model: Bundle, start: Start
) -> None:
    file = line_file(loop="true", rate_hz=20)
    file.write_text(file.read_text() + "supervision:\n  hung_after_s: 2\n  drain_s: 1\n")
    exhausted = "from pipeline.daemon.runtime import supervisor\nsupervisor.MOST_ABANDONED = 1"
    process = start(file, first=f"{HANGING}\n{exhausted}")
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 3
    assert "the process must be restarted" in errors
    assert "Traceback" not in errors
    assert Ledger(line.ledger, "west-1").account().balances


def test_json_log_of_a_station_that_cannot_start_is_json_too(
    line_file: LineFile, start: Start, tmp_path: Path
) -> None:
    (tmp_path / "mlflow.db").unlink()
    process = start(line_file(), "--log", "json")
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 2
    entry = json.loads(errors)
    assert entry["level"] == "CRITICAL"
    assert "no registry there yet" in entry["message"]


def test_json_log_is_one_object_a_line_and_nothing_for_each_frame(
    line: Line, line_file: LineFile, kept_model: Bundle, start: Start
) -> None:
    process = start(line_file(), "--log", "json")
    output, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, errors
    assert output == ""
    lines = [json.loads(written) for written in errors.splitlines()]
    assert {t["station"] for t in lines} == {"west-1"}
    for what in ("no registry there yet", "starting OFFLINE", "has no golden frame"):
        assert what in lines.pop(0)["message"]
    assert [t["message"].split(",")[0] for t in lines] == [
        "station west-1 inspects with cells/1",
        "camera camera: frames come",
        "station west-1 has ended",
    ]


def test_station_whose_terminal_was_closed_finishes_what_waits_and_ends(
    line: Line, line_file: LineFile, kept_model: Bundle, tmp_path: Path
) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", f"{PLAIN}\nmain()", "run", str(line_file(loop="true", rate_hz=50))],
        cwd=tmp_path,
        env=ENV,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(theirs)
    try:
        wait_for("max(seq) > 2", line.ledger, process)
        os.close(ours)
        process.send_signal(signal.SIGHUP)
        _, errors = process.communicate(timeout=TIMEOUT_S)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, errors
    assert "reload" not in errors
    assert Ledger(line.ledger, "west-1").account().balances


def test_watch_fills_a_terminal_and_leaves_it_as_it_was(
    line: Line, line_file: LineFile, kept_model: Bundle, tmp_path: Path
) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    code = f"{PLAIN}\nmain()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "run", "--watch", str(line_file(loop="true", rate_hz=50))],
        cwd=tmp_path,
        stdout=theirs,
        stderr=theirs,
        env={**ENV, "TERM": "xterm-256color"},
    )
    os.close(theirs)
    shown = bytearray()

    def read() -> None:
        with contextlib.suppress(OSError):  # the other end is closed
            while more := os.read(ours, 65536):
                shown.extend(more)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        deadline = time.monotonic() + TIMEOUT_S
        while b"verdicts" not in shown or b"frames come" not in shown:
            assert time.monotonic() < deadline, shown.decode()
            time.sleep(0.05)
        process.terminate()
        assert process.wait(TIMEOUT_S) == 0, shown.decode()
    finally:
        process.kill()
        process.wait()
        reader.join(TIMEOUT_S)
        os.close(ours)
    text = shown.decode()
    assert text.index("\x1b[?1049h") < text.index("verdicts") < text.rindex("\x1b[?1049l")
    assert "every trigger has one verdict" in text[text.rindex("\x1b[?1049l") :]
    assert "Traceback" not in text


def test_station_takes_its_model_from_a_server_without_what_opens_databases(
    line: Line,
    line_file: LineFile,
    mlflow_server: str,
    sealed_bundle: Bundle,
    start: Start,
) -> None:
    there = Registry(mlflow_server)
    push(there, "cells", sealed_bundle, judged(sealed_bundle))
    Review(there, "cells").promote(1, "A. Weber", "first release")
    file = line_file()
    file.write_text(file.read_text().replace(str(line.model.registry), mlflow_server))
    process = start(file, first=NO_SQL)
    output, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, errors
    assert "cells/1" in output
    assert Ledger(line.ledger, "west-1").account().balances


def test_a_registry_that_is_a_database_names_the_extra_that_opens_it(
    line: Line, line_file: LineFile, champion: Registry, start: Start
) -> None:
    process = start(line_file(), first=NO_SQL)
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 2, errors
    error = " ".join(errors.split())
    assert "a database, needs the package alembic" in error
    assert "'.[sql]'" in error
    assert "Traceback" not in error
