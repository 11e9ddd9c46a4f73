"""A recipe that ran, as the tests of the stages have it."""

from __future__ import annotations

from tests.stages.conftest import ran

__all__ = ["ran"]
