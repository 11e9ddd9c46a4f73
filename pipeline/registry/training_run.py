"""Writes a training's MLflow run while it goes on, in a thread: training never waits.

Importing MLflow and opening a registry take seconds, a new one more, and a server may stop
answering; none of that may hold up the training. What a registry refuses is kept and offered again,
and what it never took is reported at the end.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pipeline.errors import MissingExtra, RegistryError
from pipeline.registry import runs
from pipeline.registry.connection import check, connect, redacted, translate_errors

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

KEY_TAG = "training_key"
EVERY_S = 1.0  # between two writes
RETRY_S = 30.0  # after one that failed, for files apart from values
PATIENCE_S = 120.0  # for the last write of a training
HASTE_S = 10.0  # for that of one which failed or was interrupted
KEPT = 100_000  # values that wait for a registry which does not answer
PARAMS_PER_CALL, VALUES_PER_CALL = 100, 1000  # MLflow takes no more at once
VALUES, PARAMS, RUN = (
    "the values",
    "the choices",
    "the run's end",
)  # what can be refused, besides the path of a file
NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_/. -]")


@dataclass(frozen=True)
class TrainingInfo:
    """What is known of a training from the start.

    Attributes:
        recipe: name of the experiment.
        training_key: identifies what a killed training resumes; an unfinished run that bears it is
            continued.
        params: settings by dotted key, as registration logs them (`registry.runs.settings`).
        tags: what people search for.
        name: of the run; MLflow makes one up where it is empty.
    """

    recipe: str
    training_key: str
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    name: str = ""


@dataclass(frozen=True)
class _Value:
    name: str
    value: float
    at_ms: int
    step: int


@dataclass(frozen=True)
class _File:
    path: Path
    folder: str


class TrainingRun:
    """A run that a thread of its own writes; a `with` block that fails marks it as failed."""

    def __init__(
        self, uri: str, info: TrainingInfo, every_s: float = EVERY_S, remedy: str = ""
    ) -> None:
        """Check that the registry answers, then open the run without waiting for it.

        Args:
            uri: of the registry; a SQLite file that is not there yet is made.
            info: the training.
            every_s: seconds between two writes.
            remedy: how to train without a run, for messages.

        Raises:
            RegistryError: nothing answers at `uri`, or it is not a registry.
        """
        self._uri, self._info, self._every_s, self._remedy = uri, info, every_s, remedy
        try:
            check(uri, create=True)
        except RegistryError as error:
            raise self._with_remedy(error) from error
        # The training appends, the thread takes away.
        self._values: deque[_Value] = deque()
        self._files: deque[_File] = deque()
        self._params: deque[tuple[str, str]] = deque()
        self._lost = 0
        self._alarms: dict[str, str] = {}  # by what is refused, until it is taken
        self._refused: Exception | None = None
        self._status = ""
        self._model_sha256 = ""
        self._closed = False
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
        self._thread.start()

    def log_metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Note numbers of this step.

        Raises:
            RegistryError, MissingExtra: the run could not be opened when training began.
        """
        self._raise_refusal()
        now_ms = int(time.time() * 1000)
        for name, value in values.items():
            if len(self._values) < KEPT:
                allowed = NOT_IN_NAMES.sub("_", name)
                self._values.append(_Value(allowed, float(value), now_ms, step))
            else:
                self._lost += 1

    def log_params(self, values: Mapping[str, str]) -> None:
        """Note what training has chosen, beside the settings; raises likewise."""
        self._raise_refusal()
        self._params.extend(values.items())

    def log_file(self, path: Path, folder: str = "train") -> None:
        """Note a file, a picture for instance, that lies there until `finish`; raises likewise."""
        self._raise_refusal()
        self._files.append(_File(path, folder))

    def finish(self, model_sha256: str) -> list[str]:
        """Write what is left and end the run, bearing the hash of the model that it made.

        Returns:
            Lines for the report, where the registry did not take everything.

        Raises:
            RegistryError, MissingExtra: the run could not be opened at all.
        """
        self._model_sha256 = model_sha256
        self._end("FINISHED", PATIENCE_S)
        self._raise_refusal()
        alarms = dict(self._alarms)
        late = f"{redacted(self._uri)} took longer than {PATIENCE_S:.0f} s"
        open_because = alarms.pop(RUN, late)
        lost = []
        if self._lost:
            lost.append(f"{self._lost} value(s) are not in MLflow: more than {KEPT} waited for it")
        if left := len(self._values) + len(self._params) + len(self._files):
            because = next(iter(alarms.values()), late)
            lost.append(f"{left} value(s) and file(s) did not reach MLflow: {because}")
        if not self._closed:
            lost.append(
                f"the run stays open in MLflow, registration may make another: {open_because}"
            )
        return lost

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        failed = kind is not None and issubclass(kind, Exception)
        self._end("FAILED" if failed else "KILLED", HASTE_S)

    def _end(self, status: str, within_s: float) -> None:
        """The first end counts."""
        if self._ending.is_set():
            return
        self._status = status
        self._ending.set()
        self._thread.join(within_s)

    def _raise_refusal(self) -> None:
        if self._refused is not None:
            raise self._refused

    def _work(self) -> None:
        try:
            client, run_id = self._open()
        except RegistryError as error:
            self._refused = self._with_remedy(error)
            return
        except ImportError as error:
            self._refused = MissingExtra(error.name or "mlflow", "logging a training", "train")
            return
        except Exception as error:  # raised by the next call that logs, without a traceback
            why = f"{redacted(self._uri)} opens no run ({type(error).__name__}: {error})"
            self._refused = self._with_remedy(RegistryError(why))
            self._refused.__cause__ = error
            return
        pause_s, ending, files_from = self._every_s, False, 0.0
        while not ending:
            ending = self._ending.wait(pause_s)
            taken = self._write_values(client, run_id)
            pause_s = self._every_s if taken else RETRY_S
            if ending:
                # Before the files: a store of artifacts that hangs must not keep the run open.
                self._offer(RUN, self._close, client, run_id)
            if (ending or time.monotonic() >= files_from) and not self._write_files(
                client, run_id, every_one=ending
            ):
                files_from = time.monotonic() + RETRY_S

    def _open(self) -> tuple[MlflowClient, str]:
        """The unfinished run of the same training, or a new one."""
        client = connect(self._uri, create=True)
        info = self._info
        tags = {"recipe": info.recipe, KEY_TAG: info.training_key, **info.tags}
        with translate_errors(self._uri):
            from mlflow.entities import Param, RunTag

            home = runs.experiment(client, self._uri, info.recipe)
            begun = runs.tagged(client, home, **{KEY_TAG: info.training_key})
            # One that bears a model was trained to its end; its registration may have failed.
            unfinished = (
                r
                for r in begun
                if r.info.status != "FINISHED" and runs.MODEL_TAG not in r.data.tags
            )
            run = next(unfinished, None)
            if run is None:
                run = client.create_run(home, tags=tags, run_name=info.name or None)
            else:
                client.update_run(run.info.run_id, "RUNNING")
                client.log_batch(run.info.run_id, tags=[RunTag(k, v) for k, v in tags.items()])
            run_id = str(run.info.run_id)
            params = [Param(k, v) for k, v in runs.new_params(run, info.params).items()]
            for start in range(0, len(params), PARAMS_PER_CALL):
                client.log_batch(run_id, params=params[start : start + PARAMS_PER_CALL])
        return client, run_id

    def _write_values(self, client: MlflowClient, run_id: str) -> bool:
        """Write the values noted so far; what is refused stays for the next time."""
        while self._values:
            some = [self._values[i] for i in range(min(len(self._values), VALUES_PER_CALL))]
            if not self._offer(VALUES, _log, client, run_id, some):
                return False
            for _ in some:
                self._values.popleft()
        while self._params:
            if not self._offer(PARAMS, client.log_param, run_id, *self._params[0]):
                return False
            self._params.popleft()
        return True

    def _write_files(self, client: MlflowClient, run_id: str, *, every_one: bool) -> bool:
        """Likewise; where not every one is to be tried, the first refusal puts off the others."""
        all_taken = True
        for _ in range(len(self._files)):
            path, folder = str(self._files[0].path), self._files[0].folder
            if self._offer(path, client.log_artifact, run_id, path, folder):
                self._files.popleft()
                continue
            self._files.rotate(-1)  # next time another one comes first
            all_taken = False
            if not every_one:
                break
        return all_taken

    def _close(self, client: MlflowClient, run_id: str) -> None:
        if self._model_sha256:
            client.set_tag(run_id, runs.MODEL_TAG, self._model_sha256)
        client.set_terminated(run_id, self._status)
        self._closed = True

    def _offer(self, what: str, send: Callable[..., object], *args: object) -> bool:
        """Whether the registry took it."""
        try:
            with translate_errors(self._uri):
                send(*args)
        except Exception as error:  # no error of the record may end a training
            if not self._alarms:
                print(f"warning: {error}; training goes on", file=sys.stderr, flush=True)
            self._alarms[what] = str(error)
            return False
        self._alarms.pop(what, None)
        return True

    def _with_remedy(self, error: RegistryError) -> RegistryError:
        return type(error)(f"{error}; or {self._remedy}") if self._remedy else error


def _log(client: MlflowClient, run_id: str, values: list[_Value]) -> None:
    from mlflow.entities import Metric

    metrics = [Metric(v.name, v.value, v.at_ms, v.step) for v in values]
    # Explicit, because MLFLOW_ENABLE_ASYNC_LOGGING would hide what goes wrong.
    client.log_batch(run_id, metrics=metrics, synchronous=True)
