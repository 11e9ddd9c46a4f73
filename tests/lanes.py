"""Two lanes: `make check` leaves out what starts a process or trains a network; `make test` not.

A test that does either bears the mark `slow`, itself or its module. One that does without the mark
fails here, so that the fast lane stays what its name says.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from functools import wraps
from typing import Any

import pytest

STARTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec"}
# Programs that libraries ask for facts, and that are gone at once.
ASKED = ("git", "uname", "ldconfig", "/sbin/ldconfig", "lscpu", "gcc", "cc", "ld", "objdump")

# Fixtures that several files share and that do either: which test is the first to need one hangs
# on how the tests are spread over workers, so each that needs one is slow.
SLOW_FIXTURES = {"ran", "mlflow_server", "browser"}

_happened: list[str] = []


def _hear(event: str, given: tuple[Any, ...]) -> None:
    if event in STARTS:
        program = str(given[0] if given else "")
        if program.rpartition("/")[2] not in {a.rpartition("/")[2] for a in ASKED}:
            _happened.append(f"{event} {program}")


sys.addaudithook(_hear)


def _watch_trainings() -> None:
    """Note each training, from the moment on that Lightning is imported."""
    lightning = sys.modules.get("pytorch_lightning")
    trainer = getattr(lightning, "Trainer", None)
    if trainer is None or hasattr(trainer.fit, "__wrapped__"):
        return
    fit = trainer.fit

    @wraps(fit)
    def noted(*args: Any, **named: Any) -> Any:
        _happened.append("Trainer.fit")
        return fit(*args, **named)

    trainer.fit = noted


def mark_slow(items: list[pytest.Item]) -> None:
    """Mark each test that needs a slow fixture, itself or through another fixture."""
    for item in items:
        if SLOW_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    _happened.clear()
    _watch_trainings()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    yield
    if _happened and item.get_closest_marker("slow") is None:
        pytest.fail(f"{_happened[0]} without the mark `slow`: it belongs to `make test` alone")
