"""Messages for people and for machines, without secrets."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from pipeline import config
from pipeline.cli.logs import formatter
from pipeline.cli.times import shown
from pipeline.contracts.bundle import Bundle
from pipeline.daemon.build import assembled
from pipeline.daemon.settings.line import Line
from pipeline.daemon.web.tokens import Scope, Tokens
from pipeline.errors import hidden


def message(told: str, **more: Any) -> logging.LogRecord:
    record = logging.LogRecord(
        "pipeline.daemon.inspection.camera", logging.ERROR, "", 0, told, (), None
    )
    record.created = 1_795_000_000.25
    record.__dict__.update(more)
    return record


def test_json_names_time_level_logger_station_and_record() -> None:
    told = json.loads(formatter("json", "west-1").format(message("lost", record="01J8")))
    assert told == {
        "time": "2026-11-18T11:06:40.250Z",
        "level": "ERROR",
        "logger": "pipeline.daemon.inspection.camera",
        "station": "west-1",
        "message": "lost",
        "record": "01J8",
    }


def test_json_of_an_error_is_still_one_line() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        record = message("failed", exc_info=(type(error), error, error.__traceback__))
    written = formatter("json", "west-1").format(record)
    assert "\n" not in written
    assert "ValueError: two\nlines" in json.loads(written)["error"]


def test_text_starts_with_time_and_level() -> None:
    written = formatter("text", "west-1").format(message("camera west: lost"))
    at = shown(datetime.fromtimestamp(1_795_000_000.25, UTC))
    assert written == f"{at} ERROR camera west: lost"


@pytest.mark.parametrize("form", ["text", "json"])
def test_password_in_an_address_is_never_written(form: Any) -> None:
    told = message("rtsp://ann:s3cret@10.0.0.12/live is away; mqtt://bob:p@ss@broker too")
    written = formatter(form, "west-1").format(told)
    assert "s3cret" not in written
    assert "ss@" not in written
    assert "rtsp://***@10.0.0.12/live is away; mqtt://***@broker too" in written


OBEYED = "/\x1b[2J\x9b31m\r\n2026-11-18T11:06:40.250Z ERROR forged\u2028\u202e\udcfc"


def test_text_from_outside_neither_reaches_the_terminal_nor_looks_like_a_message() -> None:
    written = formatter("text", "west-1").format(message(f"10.0.0.9 at {OBEYED} was refused"))
    first, second = written.splitlines()
    assert first.endswith(r"10.0.0.9 at /\x1b[2J\x9b31m\r")
    assert second == r"    2026-11-18T11:06:40.250Z ERROR forged\u2028\u202e\udcfc was refused"
    assert all(line.isprintable() for line in (first, second))


def test_json_of_text_from_outside_can_be_shown_and_read_back() -> None:
    written = formatter("json", "west-1").format(message(OBEYED))
    assert written.isprintable()
    assert json.loads(written)["message"] == OBEYED


def test_text_without_an_address_stays_as_it_is() -> None:
    told = "http://10.0.0.12/inspect answers; write to line@plant.example"
    assert hidden(told) == told


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What everybody logs in this process, debugging included, as JSON."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(formatter("json", "west-1"))
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield written
    root.setLevel(before)
    root.removeHandler(handler)


def answer(port: int, token: str) -> int:
    """How the station's web service answers whoever bears a token."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/records?serial=none", headers={"authorization": f"Bearer {token}"})
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.slow
def test_log_of_a_station_holds_neither_its_cameras_password_nor_a_token(
    line: Line, kept_model: Bundle, written: io.StringIO, tmp_path: Path
) -> None:
    pytest.importorskip("av")
    token = Tokens(tmp_path / "tokens").new("desk", [Scope.READ])
    stranger = "lineside_of-another-station"
    file = tmp_path / "line.yaml"
    file.write_text(
        "station: west-1\nrecipe: cells\nthreads: 1\n"
        f"model: {{registry: '{line.model.registry}', cache: {line.model.cache}}}\n"
        f"ledger: {line.ledger}\n"
        "source: {type: rtsp, url: 'rtsp://ann:s3cret@127.0.0.1:9/live?key=s3cret'}\n"
        f"http: {{port: 0, tokens: {tmp_path / 'tokens'}}}\n"
    )
    stop, answers = threading.Event(), list[int]()
    never = threading.Timer(30, stop.set)
    never.start()

    def ask() -> None:
        """Once the camera is known to be away."""
        if "Connection refused" in written.getvalue() and not answers:
            told = [json.loads(line)["message"] for line in written.getvalue().splitlines()]
            (address,) = (m.split()[-1] for m in told if m.startswith("web service at "))
            port = int(address.rstrip("/").rpartition(":")[2])
            answers.extend(answer(port, each) for each in (token, stranger))
            stop.set()

    with assembled(config.load(file, Line)) as station:
        station.run(stop, on_step=ask)
    never.cancel()
    assert answers == [200, 401]
    log = written.getvalue()
    assert "rtsp://127.0.0.1:9/live: Connection refused" in log
    assert "/records was refused: no valid token" in log
    for secret in ("s3cret", "ann:", token, token.removeprefix("lineside_"), stranger):
        assert secret not in log
