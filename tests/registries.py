"""Copies of a registry in SQLite with its versions, so that a test gets its own in milliseconds.

Registering through MLflow takes a quarter of a second for each version, which adds up.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.registry.store import Registry
from tests.conftest import NOW

DATABASE, ARTIFACTS = "mlflow.db", "mlruns"
# Where MLflow's database holds paths, which are absolute.
PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)


def registry_from(made: Path, home: Path) -> Registry:
    """A folder's registry, copied from a database without versions or from another folder's.

    Its time stands still at `NOW`.
    """
    if made.is_dir():
        copy_registry(made, home)
    else:
        _wait_for_no_disk()
        shutil.copy(made, home / DATABASE)
    return Registry(f"sqlite:///{home / DATABASE}", now=lambda: NOW)


def copy_registry(made: Path, into: Path) -> None:
    """Copy the registry of a folder and all its files into another, where they are found.

    Of what MLflow keeps only the files named MLmodel still hold the former path; nobody asks them.
    """
    from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

    _wait_for_no_disk()
    shutil.copy(made / DATABASE, into / DATABASE)
    shutil.copytree(made / ARTIFACTS, into / ARTIFACTS)
    with closing(sqlite3.connect(into / DATABASE)) as database, database:
        for table, column in PLACES:
            database.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)",
                (made.as_uri(), into.as_uri()),
            )
    # The runs of all copies bear the same ids, and MLflow remembers for each where its files are.
    _artifact_repos_cache.clear()


@cache
def _wait_for_no_disk() -> None:
    """Have MLflow's commits, forty for a sign-off, wait for no disk in this process.

    No registry of a test has to outlive a power cut.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    @event.listens_for(Engine, "connect")
    def unsynchronised(connection: Any, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous = OFF")
