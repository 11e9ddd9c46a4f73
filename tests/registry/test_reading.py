"""Reading without MLflow's own client gives what that gives."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from pipeline.contracts.bundle import Bundle
from pipeline.errors import RegistryError, RegistryForbidden, RegistryUnreachable
from pipeline.registry.decisions.review import Review
from pipeline.registry.decisions.signoffs import SignoffLog
from pipeline.registry.dossier import read_dossier
from pipeline.registry.push import Registration
from pipeline.registry.reading import ReadingRegistry, RestReader, is_plain
from pipeline.registry.store import Registry

Register = Callable[[Registry, Bundle], Registration]

LISTED = """
import sys
from pipeline import cli
sys.argv = ["lineside", "models", *sys.argv[1:]]
try:
    cli.main()
except SystemExit as end:
    assert not end.code, end.code
print("loaded:", *{module.partition(".")[0] for module in sys.modules})
"""
HEAVY = {"torch", "mlflow", "cv2", "sqlalchemy", "pandas", "onnxruntime"}


class Answering(HTTPServer):
    """Gives one answer to all requests, and remembers what came."""

    status, content = 200, b"{}"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.came: list[tuple[str, str | None]] = []

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Answering

    def do_GET(self) -> None:
        self.server.came.append((self.path, self.headers.get("Authorization")))
        status = 200 if self.path == "/" else self.server.status  # the probe
        self.send_response(status)
        self.end_headers()
        self.wfile.write(self.server.content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Answering]:
    with Answering() as served:
        thread = threading.Thread(target=served.serve_forever, args=(0.01,))
        thread.start()
        yield served
        served.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This user's own settings of MLflow do not count."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)


@pytest.mark.slow
def test_versions_signoffs_and_dossiers_are_those_of_mlflows_client(
    mlflow_server: str, sealed_bundle: Bundle, register: Register
) -> None:
    registry, reading = Registry(mlflow_server), ReadingRegistry(mlflow_server)
    register(registry, sealed_bundle)
    if not SignoffLog(registry, "cells").read().records:
        Review(registry, "cells").promote(1, "A. Weber", "first release")
    assert isinstance(reading.client, RestReader)
    assert reading.versions("cells") == registry.versions("cells") != []
    assert reading.recipes() == registry.recipes()
    assert SignoffLog(reading, "cells").read() == SignoffLog(registry, "cells").read()
    version = registry.version("cells", 1)
    assert read_dossier(reading, version) == read_dossier(registry, version)
    with pytest.raises(RegistryError, match=r'recipe "sells" is not registered .*did you mean "ce'):
        reading.version("sells", 1)
    for command in (("list", "cells"), ("show", "cells"), ("history", "cells")):
        ended = subprocess.run(
            [sys.executable, "-c", LISTED, *command, "--registry", mlflow_server],
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 0, ended.stderr
        assert HEAVY & {*ended.stdout.rpartition("loaded:")[2].split()} == set()


def test_a_database_is_read_through_mlflow(registry: Registry) -> None:
    assert isinstance(ReadingRegistry(registry.uri).client, MlflowClient)


def test_all_pages_are_read(server: Answering) -> None:
    pages = [
        b'{"registered_models": [{"name": "b"}], "next_page_token": "more+"}',
        b'{"registered_models": [{"name": "a"}]}',
    ]

    class Paged(Answer):
        def do_GET(self) -> None:
            self.server.content = pages["page_token=more%2B" in self.path]
            super().do_GET()

    server.RequestHandlerClass = Paged
    assert ReadingRegistry(server.uri).recipes() == ["a", "b"]


@pytest.mark.parametrize(
    ("address", "environment", "sent"),
    [
        ("", {}, None),
        ("ann:p%40ss@", {}, "Basic YW5uOnBAc3M="),
        (
            "",
            {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": "p@ss"},
            "Basic YW5uOnBAc3M=",
        ),
        ("", {"MLFLOW_TRACKING_TOKEN": "abc"}, "Bearer abc"),
    ],
)
def test_access_is_asked_for_as_mlflows_client_does(
    server: Answering,
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    environment: dict[str, str],
    sent: str | None,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    ReadingRegistry(server.uri.replace("://", f"://{address}")).recipes()
    assert server.came[-1][1] == sent


@pytest.mark.parametrize(
    ("status", "content", "kind", "said"),
    [
        (401, b"You are not authenticated", RegistryUnreachable, "wants a user and password"),
        (403, b"Permission denied", RegistryForbidden, "refuses this user"),
        (404, b"<html>", RegistryError, "not as MLflow does"),
        (200, b"<html>", RegistryError, "not as MLflow does"),
        (500, b"oops", RegistryUnreachable, "fails with status 500"),
        (
            400,
            b'{"error_code": "INVALID_PARAMETER_VALUE", "message": "bad filter"}',
            RegistryError,
            "INVALID_PARAMETER_VALUE: bad filter",
        ),
    ],
)
def test_a_refusal_reads_as_that_of_mlflows_client(
    server: Answering, status: int, content: bytes, kind: type[RegistryError], said: str
) -> None:
    server.status, server.content = status, content
    with pytest.raises(kind, match=said) as found:
        ReadingRegistry(server.uri).recipes()
    assert type(found.value) is kind


def test_a_server_that_is_away_is_unreachable() -> None:
    with pytest.raises(RegistryUnreachable, match="does not answer"):
        ReadingRegistry("http://127.0.0.1:9").recipes()


@pytest.mark.parametrize(
    "name", ["MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_SERVER_CERT_PATH", "MLFLOW_WORKSPACE"]
)
def test_another_kind_of_access_is_left_to_mlflow(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    assert is_plain("https://mlflow.plant")
    monkeypatch.setenv(name, "some")
    assert not is_plain("https://mlflow.plant")


def test_a_file_of_credentials_is_left_to_mlflow(tmp_path: Path) -> None:
    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow" / "credentials").write_text("[mlflow]\n")
    assert not is_plain("https://mlflow.plant")
    assert is_plain("https://ann:secret@mlflow.plant")
