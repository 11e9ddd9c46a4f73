"""The steps of `dvc repro`: each reads the recipe's data folder and writes one folder of its own.

A stage is `run(config, source, out) -> Report`, without globals, environment or working directory;
its `main` is one call of `run_stage`, which reads `conf/<recipe>/<stage>.yaml`. Stages may call
everything but `daemon` and `cli`.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeVar

from pydantic import BaseModel
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from pipeline import config as yaml_config
from pipeline.errors import ConfigError, LinesideError
from pipeline.files import whole_folder

C = TypeVar("C", bound=BaseModel)
T = TypeVar("T")

LINE_EVERY_S = 10.0

# A stage imports hundreds of thousands of objects that stay: looking through them for garbage every
# 700 new ones, as Python does by default, takes a quarter of the time of importing torch.
gc.set_threshold(50_000, 20, 100)


@dataclass(frozen=True)
class Report:
    """Messages of a stage for the terminal: one fact a line."""

    lines: Sequence[str]


def progress(
    items: Iterable[T],
    what: str,
    total: int,
    *,
    done: int = 0,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[T]:
    """Iterate with rate and time left: a bar on a terminal, a line every ten seconds elsewhere.

    `done` of `total` were finished before and are not among the items.
    """
    console = Console(stderr=True)
    if console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _RateColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(what, total=total, completed=done)
            for item in items:
                yield item
                bar.advance(task)
        return
    started = reported = clock()
    for n, item in enumerate(items, start=1):
        yield item
        now = clock()
        if now - reported >= LINE_EVERY_S:
            reported = now
            rate = n / (now - started)
            left = (total - done - n) / rate
            print(f"  {what}: {done + n} of {total}, {rate:.1f}/s, {left:.0f} s left", flush=True)


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f}/s" if speed else "", style="progress.data.speed")


def run_stage(
    stage: str,
    model: type[C],
    run: Callable[[C, Path, Path], Report],
    argv: Sequence[str],
    *,
    resumable: bool = False,
    leads: bool = True,
) -> None:
    """Run one stage for the recipe named on the command line.

    A mistake of the user's ends in its message and exit code 2; the stage's old output stays then.
    A resumable stage finds what it had finished when it was interrupted. Of several processes that
    run it together only the one that leads writes and reports.
    """
    started = time.perf_counter()
    data = Path("data")
    try:
        recipe = _recipe(argv, stage)
        data /= recipe
        config = yaml_config.load(Path("conf", recipe, f"{stage}.yaml"), model)
        if not leads:
            run(config, data, data / stage)
            return
        with whole_folder(data / stage, resumable=resumable) as out:
            report = run(config, data, out)
    except LinesideError as error:
        _stop(str(error))
    except FileNotFoundError as error:
        missing = Path(error.filename or "")
        if missing.parts[:2] != data.parts or not data.parts:
            _stop(f"{error.strerror}: {error.filename}; the former output stays")
        _stop(f"{error.filename} is missing; run `dvc repro`, which runs the stages before it")
    except OSError as error:
        _stop(f"{error.strerror}: {error.filename or data / stage}; the former output stays")
    except KeyboardInterrupt:
        sys.exit(130)
    for line in report.lines:
        print(f"  {line}")
    print(f"{stage} {recipe}: {time.perf_counter() - started:.1f} s")


def leave() -> NoReturn:
    """End a process whose work is done without taking its modules apart.

    With torch in it that takes Python two seconds, and the system takes back all the same.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _stop(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def _recipe(argv: Sequence[str], stage: str) -> str:
    there = sorted(p.parent.name for p in Path("conf").glob("*/ingest.yaml"))
    if len(argv) != 2 or argv[1] not in there:
        given = " ".join(argv[1:]) or "nothing"
        raise ConfigError(
            f"python -m pipeline.stages.{stage} takes the name of one recipe, got {given}; "
            f"choose {', '.join(there) or 'none: conf/<recipe>/ingest.yaml is missing'}"
        )
    return argv[1]
