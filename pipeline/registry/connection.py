"""Reaches MLflow: its address, whether it answers, and its errors translated for people."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import (
    MissingExtra,
    RegistryError,
    RegistryForbidden,
    RegistryUnreachable,
    hidden,
)
from pipeline.files import project

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

SQLITE = "sqlite:///"
DATABASE = re.compile(r"(sqlite|postgresql|mysql|mssql)(\+\w+)?://")  # what MLflow opens by itself
PROBE_TIMEOUT_S = 3
WHO = "/api/2.0/mlflow/users/current"  # of a server with users

# MLflow's own defaults retry for minutes, print progress bars, unpickle and report usage.
DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}


def default_uri(root: Path) -> str:
    """`MLFLOW_TRACKING_URI`, or else `mlflow.db` in the project folder, found from `root`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{project(root) / 'mlflow.db'}"


def redacted(uri: str) -> str:
    """The URI without a password, for messages."""
    return hidden(uri)


def sqlite_file(uri: str) -> Path | None:
    """The file behind a SQLite URI, or None for a server."""
    return Path(uri.removeprefix(SQLITE).split("?")[0]) if uri.startswith(SQLITE) else None


def in_database(uri: str) -> bool:
    """Is it a database, which MLflow opens in this process, rather than a server?"""
    return DATABASE.match(uri) is not None


def set_defaults() -> None:
    """Make MLflow quick to fail, quiet and safe; to be called before it is imported.

    What the user has set stays.
    """
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)


def check(uri: str, *, create: bool = False) -> None:
    """Is a registry there? Takes milliseconds: MLflow itself takes seconds to import.

    Raises:
        RegistryUnreachable: nothing answers there, or the file does not exist.
        RegistryError: the file is not a registry.
    """
    if uri.startswith(("http://", "https://")):
        _probe_server(uri)
    elif (file := sqlite_file(uri)) is not None:
        _probe_file(file, create)


def connect(uri: str, *, create: bool = False) -> MlflowClient:
    """Open the registry.

    Args:
        uri: a server (`http://…`), a file (`sqlite:///…`) or another database.
        create: make a SQLite registry that is not there yet; a read never does.

    Raises:
        RegistryUnreachable, RegistryError: as `check` does.
        MissingExtra: it is a database, and what opens databases is not installed.
    """
    check(uri, create=create)
    if in_database(uri):
        _require_sql(uri)
    set_defaults()
    from mlflow.tracking import MlflowClient

    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    with translate_errors(uri), write_lock(uri) if create else nullcontext():
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        if create:
            client.search_experiments(max_results=1)  # makes the tables where there are none
    return client


def login(uri: str) -> str:
    """The user as which a server knows this client; "" for a server without users, or a database.

    Raises:
        RegistryUnreachable: no answer, or no right to ask.
    """
    if not uri.startswith(("http://", "https://")):
        return ""
    set_defaults()
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    with translate_errors(uri):
        access = get_default_host_creds(uri)  # type: ignore[no-untyped-call]
        answer = http_request(  # type: ignore[no-untyped-call]
            access, WHO, "GET", raise_on_status=False, max_retries=1
        )
    if answer.status_code in (401, 403):
        raise _explained(uri, OSError(f"failed with error code {answer.status_code}"))
    try:
        return str(answer.json()["user"]["username"]) if answer.ok else ""
    except (ValueError, KeyError, TypeError):
        return ""


@contextmanager
def write_lock(uri: str) -> Iterator[None]:
    """Make other writers of a SQLite registry wait; a server orders its own.

    Of several trainings that find no registry one makes it, as MLflow's migrations would clash; of
    several registrations of a bundle the second finds what the first has made.
    """
    file = sqlite_file(uri)
    if file is None:
        yield
        return
    from filelock import FileLock  # of the train extra, as all that writes a registry

    with FileLock(f"{file}.lock"):
        yield


def _require_sql(uri: str) -> None:
    try:
        import alembic  # noqa: F401
        import sqlalchemy  # noqa: F401
    except ImportError as error:
        package = error.name or "sqlalchemy"
        raise MissingExtra(
            package, f"the registry at {redacted(uri)}, a database,", "sql"
        ) from error


def _probe_server(uri: str) -> None:
    try:
        # urllib would take user:password@ for part of the host's name.
        address = re.sub(r"://[^/@]*@", "://", uri)
        with urllib.request.urlopen(address, timeout=PROBE_TIMEOUT_S):
            pass
    except urllib.error.HTTPError:
        return  # it answers; whether access is allowed shows in the first real request
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLError):
            return  # MLflow has its own settings for certificates
        raise RegistryUnreachable(
            f"the registry at {redacted(uri)} does not answer "
            f"({getattr(reason, 'strerror', None) or reason}); start it, or correct the address "
            "(model.registry in the line file, --registry or MLFLOW_TRACKING_URI)"
        ) from error


def _probe_file(file: Path, create: bool) -> None:
    if not file.is_file():
        if create:
            file.parent.mkdir(parents=True, exist_ok=True)
            return
        raise RegistryUnreachable(
            f"{file}: no registry there yet; run `make repro` to register a model, or set "
            "MLFLOW_TRACKING_URI to the server that has one"
        )
    # Asked first, because MLflow retries a damaged file for minutes and fills an empty one.
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as database:
            tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
    except sqlite3.Error as error:
        raise RegistryError(
            f"{file} is not a registry ({error}); restore it from a backup, or move it away and "
            "run `make repro`"
        ) from error
    # MLflow's first table is there before the one for models: another training, begun at the
    # same moment, is making the registry. MLflow waits for it.
    begun = create and (not tables or "experiments" in tables)
    if "registered_models" not in tables and not begun:
        raise RegistryError(
            f"{file} is a SQLite file without MLflow's tables; give the registry's own file"
        )


@contextmanager
def translate_errors(uri: str) -> Iterator[None]:
    """Turn what MLflow and the libraries under it raise into RegistryError.

    Raises:
        RegistryUnreachable: no answer, a server fault, or no right to ask (401; RegistryForbidden
            for 403).
        RegistryError: everything else that the registry refuses.
    """
    try:
        with _translate_database_errors(uri) if in_database(uri) else nullcontext():
            yield
    except ImportError as error:
        raise RegistryError(
            f"the registry at {redacted(uri)} needs the package {error.name or 'of its database'}; "
            "install the driver that the address names (PostgreSQL: psycopg, with an address "
            "postgresql+psycopg2://... its package is psycopg2-binary), or use a server's http://"
        ) from error
    except Exception as error:
        # Who has not imported MLflow, as it takes seconds, cannot have an exception of it.
        mlflow = sys.modules.get("mlflow.exceptions")
        if isinstance(error, OSError) or (mlflow and isinstance(error, mlflow.MlflowException)):
            raise _explained(uri, error) from error
        raise


@contextmanager
def _translate_database_errors(uri: str) -> Iterator[None]:
    """The same for what the layer under a database raises; a server's clients do not have it."""
    _require_sql(uri)
    from sqlalchemy.exc import OperationalError, SQLAlchemyError

    try:
        yield
    except OperationalError as error:
        reason = redacted(" ".join(str(error).split()))
        raise RegistryUnreachable(f"the registry at {redacted(uri)}: {reason[:400]}") from error
    except SQLAlchemyError as error:
        raise _explained(uri, error) from error


def _explained(uri: str, error: Exception) -> RegistryError:
    where = f"the registry at {redacted(uri)}"
    text = str(error)
    found = re.search(r"error code (\d{3})", text)
    status = int(found[1]) if found else getattr(error, "get_http_status_code", lambda: 0)()
    if status == 401:
        return RegistryUnreachable(
            f"{where} wants a user and password (401); set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD"
        )
    if status == 403:
        return RegistryForbidden(
            f"{where} refuses this user or address (403); give the user the right, or start "
            "`mlflow server` with --allowed-hosts naming the host and port used here"
        )
    if found is not None and status == 404:
        return RegistryError(f"{where} answers, but not as MLflow does (404); check the address")
    reason = redacted(" ".join(text.split()) or repr(error))
    if found is None and ("failed with exception" in text or "Max retries" in text):
        return RegistryUnreachable(f"{where} stopped answering; is it running? ({reason[:160]})")
    if found is None and status == 503:  # MLflow's word for a database that is locked or away
        return RegistryUnreachable(f"{where} cannot be read at this moment: {reason[:400]}")
    if found is not None and status >= 500:
        return RegistryUnreachable(f"{where} fails with status {status}; see the server's log")
    return RegistryError(f"{where}: {reason[:400]}")
