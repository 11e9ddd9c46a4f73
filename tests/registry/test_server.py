"""Through a real MLflow server: a bundle travels whole, also where the connection breaks."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from urllib.parse import urlparse

import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.errors import RegistryUnreachable, SignoffError
from pipeline.registry.decisions.review import Review
from pipeline.registry.decisions.signoffs import SignoffLog
from pipeline.registry.push import Registration, push
from pipeline.registry.resolution import resolve
from pipeline.registry.store import Registry
from tests.judgements import judged

pytestmark = pytest.mark.slow

ROUNDS = 10
WAIT_S = 120

Register = Callable[[Registry, Bundle], Registration]


def test_bundle_travels_through_a_real_server(
    mlflow_server: str, sealed_bundle: Bundle, register: Register, tmp_path: Path
) -> None:
    registry = Registry(mlflow_server)
    assert register(registry, sealed_bundle).new
    assert not register(registry, sealed_bundle).new
    Review(registry, "cells").promote(1, "A. Weber", "first release")
    pulled = registry.pull(resolve(registry, "cells").version, tmp_path / "cache" / "1")
    assert pulled.sha256 == sealed_bundle.sha256


def decide(uri: str, reviewer: str, start: Barrier, said: Queue[tuple[str, str]]) -> None:
    """In a process of its own: read, wait for the other who has read too, and decide."""
    signoffs = SignoffLog(Registry(uri), "contested")
    for place in range(ROUNDS):
        chain = signoffs.read()
        start.wait(WAIT_S)
        try:
            signoffs.append(
                chain,
                act="reject",
                version=1,
                bundle_sha256="ab",
                reviewer=reviewer,
                reason=f"round {place}",
                gate="passed",
                previous=None,
            )
        except SignoffError as error:
            said.put((reviewer, str(error)))
        else:
            said.put((reviewer, ""))
        start.wait(WAIT_S)


def test_of_two_processes_that_decide_at_once_one_wins_and_the_other_learns_so(
    mlflow_server: str,
) -> None:
    registry = Registry(mlflow_server)
    registry.client.create_registered_model("contested")
    context = multiprocessing.get_context("spawn")
    start, said = context.Barrier(2), context.Queue()
    people = [
        context.Process(target=decide, args=(mlflow_server, name, start, said))
        for name in ("Ann", "Bo")
    ]
    for person in people:
        person.start()
    answers = [said.get(timeout=WAIT_S) for _ in range(2 * ROUNDS)]
    for person in people:
        person.join(WAIT_S)
    chain = SignoffLog(registry, "contested").read()
    assert (chain.faults, chain.pending, chain.lost) == ((), (), ())
    assert [r.reason for r in chain.records] == [f"round {n}" for n in range(ROUNDS)]
    won = [reviewer for reviewer, error in answers if not error]
    assert sorted(r.reviewer for r in chain.records) == sorted(won)
    for reviewer, error in answers:
        other = "Bo" if reviewer == "Ann" else "Ann"
        assert not error or f"somebody else ({other}) decided at the same moment" in error


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
                done = push(
                    through,
                    "cut",
                    sealed_bundle,
                    judged(sealed_bundle, metrics={"auroc": 0.9}, params={"method": "probe"}),
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
