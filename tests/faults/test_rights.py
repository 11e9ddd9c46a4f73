"""A station needs no rights: as a user that owns one folder and nothing else, it does its work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import pipeline
from tests.faults.conftest import SOURCES, Plant, lines_of

pytestmark = pytest.mark.slow

NOBODY = 65534


def why_not() -> str:
    """Why no station can run as nobody here; "" where one can."""
    if os.geteuid():
        return "not root: here every station runs without rights"
    reading = f"open({pipeline.__file__!r}).close(); import cv2"
    command = [sys.executable, "-c", reading]
    try:
        tried = subprocess.run(
            command, user=NOBODY, group=NOBODY, extra_groups=(), cwd="/", capture_output=True
        )
    except OSError as error:
        return f"user {NOBODY} may not run {sys.executable}: {error.strerror}"
    return f"user {NOBODY} may not read {SOURCES} or its packages" if tried.returncode else ""


@pytest.fixture
def nobodys(plant: Plant) -> Iterator[Plant]:
    """The same plant, in a folder of nobody's own that nobody can reach."""
    if why := why_not():
        pytest.skip(why)
    with tempfile.TemporaryDirectory(prefix="lineside-nobody-") as name:
        home = Path(name)
        for folder in ("models", "parts"):
            shutil.copytree(plant.home / folder, home / folder)
        for path in (home, *home.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        moved = Plant(home, plant.registry.replace(str(plant.home), name))
        yield moved
        moved.stop()


def test_a_station_needs_no_rights(nobodys: Plant) -> None:
    file = nobodys.line(sinks=[{"type": "jsonl", "folder": "delivered"}])
    station = nobodys.inspecting(file, user=NOBODY)
    station.wait_for_more()
    assert nobodys.book.path.stat().st_uid == NOBODY
    station.end()
    delivered = [record["id"] for record in lines_of(nobodys.home / "delivered")]
    assert delivered == nobodys.book.closed_ids
