"""A station with a model, as the tests of the daemon have it."""

from __future__ import annotations

from tests.daemon.conftest import champion, kept_model, line, line_file, parts, promoted
from tests.stages.conftest import ran

__all__ = ["champion", "kept_model", "line", "line_file", "parts", "promoted", "ran"]
