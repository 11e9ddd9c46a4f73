"""What the tests of follower and serving share: a query at once, a worker that runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.daemon.model.serving import Serving
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.settings.line import Line
from pipeline.errors import RegistryUnreachable
from tests.daemon.conftest import picture

AWAY = RegistryUnreachable("the registry does not answer")
# Of a part 128 bright, in doubt for version 1, version 2 says FAIL.
IN_DOUBT = picture(128)


def with_model(line: Line, **changes: Any) -> Line:
    return line.model_copy(update={"model": line.model.model_copy(update=changes)})


def look(serving: Serving) -> None:
    """What the worker does every `poll_s`, here and now."""
    serving.follower.look(Heartbeat(Clock()))


def looks() -> list[threading.Thread]:
    """Those under way."""
    return [t for t in threading.enumerate() if t.name == "look for champion"]


class Counted(Heartbeat):
    """Counts its beats."""

    beats = 0

    def beat(self, busy_s: float = 0.0) -> None:
        super().beat(busy_s)
        self.beats += 1


@contextmanager
def running(serving: Serving) -> Iterator[Counted]:
    heartbeat = Counted(Clock())
    worker = threading.Thread(target=serving.run, args=(heartbeat,))
    worker.start()
    try:
        yield heartbeat
    finally:
        heartbeat.stop()
        worker.join()


def folders(line: Line) -> set[str]:
    """The versions in the cache."""
    return {p.name.split("-")[0] for p in line.model.cache.iterdir() if p.is_dir()}
