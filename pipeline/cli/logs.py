"""Formats of log messages: text for people, one JSON object a line for machines.

The one place where messages lose secrets, and what a terminal would obey.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Literal

from pipeline.cli.times import shown
from pipeline.errors import hidden, is_obeyed, printable_lines

Form = Literal["text", "json"]


class Text(logging.Formatter):
    """`2026-11-23 14:50:00+01:00 WARNING camera west: ...`, a traceback below it."""

    def format(self, record: logging.LogRecord) -> str:
        """One message."""
        about = f" (record {identity})" if (identity := getattr(record, "record", None)) else ""
        text = f"{shown(_at(record))} {record.levelname}{about} {super().format(record)}"
        return printable_lines(hidden(text))


class Json(logging.Formatter):
    """One object a line: time, level, logger, station, message; record and error if there is one.

    `log.error("...", extra={"record": id})` gives a message the id of the record it is about.
    """

    def __init__(self, station: str) -> None:
        super().__init__()
        self._station = station

    def format(self, record: logging.LogRecord) -> str:
        """One message."""
        fields = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "station": self._station,
            "message": record.getMessage(),
        }
        if identity := getattr(record, "record", None):
            fields["record"] = str(identity)
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        line = json.dumps({k: hidden(v) for k, v in fields.items()}, ensure_ascii=False)
        return "".join(f"\\u{ord(c):04x}" if is_obeyed(c) else c for c in line)


def formatter(form: Form, station: str) -> logging.Formatter:
    """What writes messages in one form or the other."""
    return Json(station) if form == "json" else Text()


def listen(*handlers: logging.Handler) -> None:
    """Send messages to these handlers and no others: ours from INFO on, warnings of all others."""
    logging.basicConfig(level=logging.WARNING, handlers=handlers, force=True)
    logging.getLogger("pipeline").setLevel(logging.INFO)


def _time(record: logging.LogRecord) -> str:
    return _at(record).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _at(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)
