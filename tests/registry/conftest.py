"""A real registry in SQLite, made once and copied, and a real MLflow server."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.registry.decisions.review import Review
from pipeline.registry.push import Registration, push
from pipeline.registry.store import Registry
from tests.conftest import SealBundle
from tests.judgements import judge, judged
from tests.registries import copy_registry, registry_from

SERVER_START_S = 90


def register_cells(registry: Registry, bundle: Bundle) -> Registration:
    """Register a bundle as recipe `cells`, with a little of everything."""
    evidence = judged(
        bundle, metrics={"auroc": 0.9}, params={"method": "probe"}, description="**0.9**"
    )
    plots = (bundle.folder / "taxonomy.json", "plots")
    more = replace(evidence, artifacts=(*evidence.artifacts, plots))
    return push(registry, "cells", bundle, more)


@pytest.fixture
def register() -> Callable[[Registry, Bundle], Registration]:
    return register_cells


@pytest.fixture(scope="session")
def two_registered(
    empty_registry: Path, seal_bundle: SealBundle, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with the registry of `two_versions`."""
    home = tmp_path_factory.mktemp("two_registered")
    registry = registry_from(empty_registry, home)
    register_cells(registry, seal_bundle(home / "bundle"))
    register_cells(registry, seal_bundle(home / "second", fail_from=0.7))
    judge(registry, 2, against="cells/1")
    return home


@pytest.fixture(scope="session")
def three_promoted(
    two_registered: Path, seal_bundle: SealBundle, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with the registry of `three_versions`."""
    home = tmp_path_factory.mktemp("three_promoted")
    registry = registry_from(two_registered, home)
    register_cells(registry, seal_bundle(home / "third", fail_from=0.6))
    judge(registry, 3, against="cells/2")
    for number, reason in ((1, "first release"), (2, "fewer escapes"), (3, "less overkill")):
        Review(registry, "cells").promote(number, "A. Weber", reason)
    return home


@pytest.fixture
def two_versions(registry: Registry, two_registered: Path, tmp_path: Path) -> Registry:
    """Version 1 holds `sealed_bundle`, version 2 another one that was compared with it."""
    copy_registry(two_registered, tmp_path)
    return registry


@pytest.fixture
def three_versions(registry: Registry, three_promoted: Path, tmp_path: Path) -> Registry:
    """Three, promoted one after the other."""
    copy_registry(three_promoted, tmp_path)
    return registry


@pytest.fixture(scope="module")
def mlflow_server(empty_registry: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`mlflow server` on a free loopback port, of one test file; its start takes seconds."""
    home = tmp_path_factory.mktemp("mlflow_server")
    shutil.copy(empty_registry, home / "mlflow.db")
    with serving(home, f"sqlite:///{home / 'mlflow.db'}") as uri:
        yield uri


def free_port() -> int:
    """A loopback port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(
    home: Path, database: str, *options: str, port: int | None = None, **environment: str
) -> Iterator[str]:
    """`mlflow server` in the folder `home`, at a port that is free or given; yields its address."""
    port = port or free_port()
    uri = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1", *options]
    command += ["--backend-store-uri", database]
    command += ["--artifacts-destination", str(home / "artifacts")]
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    # Nobody asks this server to evaluate prompts, for which it would start eight processes more.
    inherited["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    log = (home / "server.log").open("wb")
    server = subprocess.Popen(
        command,
        cwd=home,
        env=inherited | environment,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        _wait_for(uri, server, home / "server.log")
        yield uri
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # asked politely it takes ten seconds more
        server.wait(20)
        log.close()


def _wait_for(uri: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + SERVER_START_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{uri}/health", timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    pytest.fail(f"mlflow server did not start:\n{log.read_text()[-2000:]}")
