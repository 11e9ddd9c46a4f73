"""Messages for people and for machines, without secrets."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from pipeline.daemon.logs import formatter
from pipeline.errors import hidden


def message(told: str, **more: Any) -> logging.LogRecord:
    record = logging.LogRecord("pipeline.daemon.camera", logging.ERROR, "", 0, told, (), None)
    record.created = 1_795_000_000.25
    record.__dict__.update(more)
    return record


def test_json_names_time_level_logger_station_and_record() -> None:
    told = json.loads(formatter("json", "west-1").format(message("lost", record="01J8")))
    assert told == {
        "time": "2026-11-18T11:06:40.250Z",
        "level": "ERROR",
        "logger": "pipeline.daemon.camera",
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
    assert written == "2026-11-18T11:06:40.250Z ERROR camera west: lost"


@pytest.mark.parametrize("form", ["text", "json"])
def test_password_in_an_address_is_never_written(form: Any) -> None:
    told = message("rtsp://ann:s3cret@10.0.0.12/live is away; mqtt://bob:p@ss@broker too")
    written = formatter(form, "west-1").format(told)
    assert "s3cret" not in written
    assert "ss@" not in written
    assert "rtsp://***@10.0.0.12/live is away; mqtt://***@broker too" in written


def test_text_without_an_address_stays_as_it_is() -> None:
    told = "http://10.0.0.12/inspect answers; write to line@plant.example"
    assert hidden(told) == told
