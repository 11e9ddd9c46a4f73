"""What a person reads when the registry is not there or refuses."""

from __future__ import annotations

import os
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
from sqlalchemy.exc import OperationalError

from pipeline.errors import RegistryError, RegistryUnreachable
from pipeline.registry.connection import check, default_uri, redacted, translate_errors
from pipeline.registry.resolution import resolve
from pipeline.registry.store import Registry


@contextmanager
def refusing_server(status: int) -> Iterator[str]:
    """A web server that answers everything with one status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"no")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_closed_port_is_reported_within_seconds() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = time.monotonic()
    with pytest.raises(
        RegistryUnreachable, match=rf"127\.0\.0\.1:{port} does not answer .*refused"
    ):
        resolve(Registry(f"http://127.0.0.1:{port}"), "cells")
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("status", "remedy"), [(401, "MLFLOW_TRACKING_USERNAME"), (403, "--allowed-hosts")]
)
def test_server_that_refuses_us_names_the_remedy(status: int, remedy: str) -> None:
    with refusing_server(status) as uri, pytest.raises(RegistryUnreachable, match=remedy):
        resolve(Registry(uri), "cells")


def test_server_that_is_not_mlflow_is_reported_as_such() -> None:
    with refusing_server(404) as uri, pytest.raises(RegistryError, match="not as MLflow does"):
        resolve(Registry(uri), "cells")


def test_missing_sqlite_file_is_not_made_by_a_read(tmp_path: Path) -> None:
    with pytest.raises(RegistryUnreachable, match="no registry there yet; run `make repro`"):
        Registry(f"sqlite:///{tmp_path / 'mlflow.db'}").versions("cells")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"this is text, not a database, and long enough to see"])
def test_file_that_is_not_a_registry_is_refused_as_it_is(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "mlflow.db"
    file.write_bytes(content)
    with pytest.raises(RegistryError, match=r"mlflow\.db"):
        Registry(f"sqlite:///{file}").versions("cells")
    assert file.read_bytes() == content


def test_a_user_and_password_in_the_address_reach_the_server() -> None:
    with refusing_server(401) as uri, pytest.raises(RegistryError, match="wants a user and passw"):
        Registry(uri.replace("://", "://weber:secret@")).versions("cells")


def test_password_is_not_shown() -> None:
    assert redacted("http://ann:secret@mlflow:5000") == "http://***@mlflow:5000"


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql+psycopg2://ann:sec@ret@db/mlflow",
        "postgresql://ann:sec/ret@db/mlflow",
        "postgresql://db/mlflow?user=ann&password=secret",
    ],
)
def test_no_part_of_a_password_is_shown(uri: str) -> None:
    assert "sec" not in redacted(uri)
    assert "ret" not in redacted(uri)


def test_a_database_without_its_driver_is_reported_in_one_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    with pytest.raises(RegistryError, match=r"needs the package psycopg2.*postgresql\+psycopg2://"):
        Registry("postgresql+psycopg2://ann:secret@127.0.0.1:9/mlflow").versions("cells")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "sqlite:////project/mlflow.db"),
        ({"DVC_ROOT": "/main"}, "sqlite:////main/mlflow.db"),
        ({"DVC_ROOT": "/main", "MLFLOW_TRACKING_URI": "http://mlflow:5000"}, "http://mlflow:5000"),
    ],
)
def test_address_comes_from_mlflow_then_dvc_then_the_project(
    environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert default_uri(Path("/project")) == expected


def test_what_the_user_has_set_for_mlflow_stays(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "6")
    registry.versions("cells")
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "6"


def test_a_registry_that_another_training_is_making_is_not_a_foreign_file(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE experiments (name TEXT)")
    check(f"sqlite:///{file}", create=True)
    with pytest.raises(RegistryError, match="without MLflow's tables"):
        check(f"sqlite:///{file}")


def test_a_database_that_somebody_has_locked_is_unreachable_so_a_station_may_start_offline() -> (
    None
):
    # What MLflow makes of "database is locked", after it has tried for twenty seconds.
    locked = MlflowException("database is locked", TEMPORARILY_UNAVAILABLE)
    with (
        pytest.raises(RegistryUnreachable, match=r"at sqlite.*at this moment: database is locked"),
        translate_errors("sqlite:///mlflow.db"),
    ):
        raise locked


def test_what_the_database_layer_reports_of_a_lost_connection_is_unreachable() -> None:
    with (
        pytest.raises(
            RegistryUnreachable, match=r"registry at postgresql://\*\*\*@db/mlflow: .*gone"
        ),
        translate_errors("postgresql://ann:secret@db/mlflow"),
    ):
        raise OperationalError("SELECT 1", {}, Exception("the server has gone away"))
