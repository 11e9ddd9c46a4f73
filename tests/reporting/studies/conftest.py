"""The browser to open a report in."""

from __future__ import annotations

from tests.browser import browser

__all__ = ["browser"]
