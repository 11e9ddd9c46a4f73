"""Registrations that are cut off or made twice at once: one whole version in the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlparse

import pytest
from mlflow.tracking import MlflowClient

from pipeline.contracts.bundle import Bundle
from pipeline.errors import RegistryError, RegistryForbidden, RegistryUnreachable
from pipeline.registry import push as pushing
from pipeline.registry.push import Registration
from pipeline.registry.store import Registry

Register = Callable[[Registry, Bundle], Registration]


class Wire(ThreadingHTTPServer):
    """Passes requests on to a server until it has passed `left` of them; then it is cut."""

    left = 0
    upstream = ""
    daemon_threads = True


class Passing(BaseHTTPRequestHandler):
    server: Wire

    def _pass_on(self) -> None:
        self.server.left -= 1
        if self.server.left < 0:
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        upstream = HTTPConnection(self.server.upstream, timeout=30)
        headers = {k: v for k, v in self.headers.items() if k.lower() != "host"}
        upstream.request(self.command, self.path, body, headers)
        answer = upstream.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in ("transfer-encoding", "content-length", "connection"):
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        upstream.close()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _pass_on

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def wired(server: str) -> Iterator[Wire]:
    """A wire to the server."""
    wire = Wire(("127.0.0.1", 0), Passing)
    wire.upstream = urlparse(server).netloc
    thread = threading.Thread(target=wire.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield wire
    finally:
        wire.shutdown()
        thread.join()
        wire.server_close()


def assert_whole(registry: Registry, bundle: Bundle) -> None:
    """Each version there holds the bundle, its run and a model that is ready."""
    for version in registry.versions("cut"):
        assert version.bundle_sha256 == bundle.sha256
        source = registry.client.get_model_version("cut", str(version.version)).source
        assert source is not None
        model = registry.client.get_logged_model(source.removeprefix("models:/"))
        assert model.status == "READY"
        assert registry.client.get_run(version.run_id).data.tags["gate"] == "passed"


def test_wherever_the_connection_breaks_nothing_is_half_registered(
    mlflow_server: str, sealed_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    direct = Registry(mlflow_server)
    cuts = 0
    with wired(mlflow_server) as wire:
        through = Registry(f"http://127.0.0.1:{wire.server_port}")
        while True:
            wire.left = 3 + 4 * cuts
            try:
                done = pushing.push(
                    through,
                    "cut",
                    sealed_bundle,
                    metrics={"auroc": 0.9},
                    params={"method": "probe"},
                    tags={"gate": "passed"},
                    description="",
                )
            except RegistryUnreachable:
                cuts += 1
                assert_whole(direct, sealed_bundle)
                assert len(direct.versions("cut")) <= 1
                continue
            break
    assert cuts >= 3
    (version,) = direct.versions("cut")
    assert (version.version, version.aliases) == (done.version, ("challenger",))
    assert_whole(direct, sealed_bundle)


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if, when this registration looked, no other had come to its end yet."""
    monkeypatch.setattr(pushing, "_registered", lambda *_: None)
    monkeypatch.setattr(pushing, "_logged", lambda *_: None)
    monkeypatch.setattr(pushing, "_run", lambda *_: {"run_name": "another"})


def test_of_two_registrations_at_once_the_later_takes_its_version_back(
    registry: Registry, sealed_bundle: Bundle, register: Register, request: pytest.FixtureRequest
) -> None:
    first = register(registry, sealed_bundle)
    request.getfixturevalue("late")
    second = register(registry, sealed_bundle)
    assert (second.version, second.run_id, second.new) == (1, first.run_id, False)
    (version,) = registry.versions("cells")
    assert version.aliases == ("challenger",)
    home = registry.client.get_run(first.run_id).info.experiment_id
    assert [r.info.run_id for r in registry.client.search_runs([home])] == [first.run_id]
    assert len(registry.client.search_logged_models([home])) == 1


def test_a_duplicate_that_may_not_be_deleted_is_told_and_harmless(
    registry: Registry,
    sealed_bundle: Bundle,
    register: Register,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from mlflow.exceptions import MlflowException

    def forbidden(*_: object) -> None:
        raise MlflowException("API request failed with error code 403")

    register(registry, sealed_bundle)
    request.getfixturevalue("late")
    monkeypatch.setattr(MlflowClient, "delete_model_version", forbidden)
    assert register(registry, sealed_bundle).version == 1
    assert "cells/2 holds the same bundle as version 1" in caplog.text
    assert registry.champion("cells", "challenger").version == 1


def test_two_registrations_in_one_database_wait_for_each_other(
    registry: Registry, sealed_bundle: Bundle, register: Register
) -> None:
    with ThreadPoolExecutor(2) as both:
        done = list(both.map(lambda _: register(Registry(registry.uri), sealed_bundle), range(2)))
    assert sorted(d.new for d in done) == [False, True]
    assert {d.version for d in done} == {1}
    assert len(registry.versions("cells")) == 1


def test_a_registration_refused_leaves_no_version(
    registry: Registry,
    sealed_bundle: Bundle,
    register: Register,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mlflow.exceptions import MlflowException

    def forbidden(*_: object, **__: object) -> None:
        raise MlflowException("API request failed with error code 403")

    monkeypatch.setattr(MlflowClient, "create_registered_model", forbidden)
    with pytest.raises(RegistryForbidden):
        register(registry, sealed_bundle)
    assert registry.versions("cells") == []


def test_a_new_version_waits_for_review(
    registry: Registry, sealed_bundle: Bundle, register: Register
) -> None:
    register(registry, sealed_bundle)
    assert registry.version("cells", 1).tags["review.status"] == "pending"


def test_building_again_brings_no_rejected_version_back(
    registry: Registry, sealed_bundle: Bundle, register: Register
) -> None:
    register(registry, sealed_bundle)
    registry.reject("cells", 1, "B. Sato", "misses cracks")
    register(registry, sealed_bundle)
    assert registry.version("cells", 1).aliases == ()
    with pytest.raises(RegistryError):
        registry.champion("cells", "challenger")
