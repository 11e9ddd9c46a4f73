"""The web service of `lineside run` as a real process, on a machine without what training needs."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.daemon.settings.line import Line
from pipeline.ledger.ledger import Ledger
from tests.daemon.test_process import PLAIN
from tests.daemon.waiting import until

pytestmark = pytest.mark.slow

TIMEOUT_S = 60


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_a_running_station_reports_its_health_and_ends_with_a_client_connected(
    line: Line, line_file: Callable[..., Path], kept_model: Bundle, tmp_path: Path
) -> None:
    file, port = line_file(loop="true", rate_hz=50), free_port()
    with file.open("a") as out:
        out.write(f"http:\n  port: {port}\n  open_on_loopback: true\n")
    process = subprocess.Popen(
        [sys.executable, "-c", f"{PLAIN}\nmain()", "run", str(file)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:

        def ready() -> bool:
            assert process.poll() is None, process.communicate()
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as said:
                    return bool(json.load(said)["ready"])
            except (URLError, ConnectionError):
                return False

        until(ready, "the start", TIMEOUT_S)
        with socket.create_connection(("127.0.0.1", port)):
            process.send_signal(signal.SIGTERM)
            _, complaints = process.communicate(timeout=TIMEOUT_S)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, complaints
    assert "Traceback" not in complaints
    assert Ledger(line.ledger, "west-1").account().balances
