"""A receiver that was down, failed or hung gets all records afterwards, in order."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest

from tests.daemon.receiver import Receiver, receiving
from tests.faults.conftest import Plant
from tests.registry.conftest import free_port

pytestmark = pytest.mark.slow

KEY = b"an-odd-key-that-nobody-should-read"
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"


def test_a_receiver_that_is_down_then_fails_then_hangs_misses_nothing(
    plant: Plant, recovered: Callable[[str, float], None]
) -> None:
    port = free_port()
    hook = {"type": "webhook", "url": f"http://127.0.0.1:{port}/hook", "timeout_s": 1}
    file = plant.line(sinks=[{**hook, "secret_env": "HOOK"}])
    station = plant.inspecting(file, env={"HOOK": SECRET})

    def tried(server: Receiver) -> int:
        return len(server.requests)

    station.wait_for_words("sink webhook is down")
    with receiving(port) as server:
        server.status = 500
        station.wait_for(lambda: tried(server) > 0, "tries that are answered 500")
        server.trickle = "header"
        station.wait_for(server.over.is_set, "a try that is never answered, given up")
        station.wait_for_more()  # inspection goes on meanwhile
        assert plant.book.delivered("webhook") == []
        refused = tried(server)
        server.status, server.trickle = 204, ""
        seconds = station.wait_for_none_due("webhook")
        station.end()
        delivered = [json.loads(body)["id"] for _, body in server.requests[refused:]]
    recovered("receiver well; its backlog delivered", seconds)
    assert "sink webhook is up again" in station.logged
    assert all(headers["webhook-signature"] for headers, _ in server.requests)
    assert SECRET.removeprefix("whsec_") not in station.logged
    assert KEY.decode() not in station.logged
    assert list(dict.fromkeys(delivered)) == plant.book.closed_ids
