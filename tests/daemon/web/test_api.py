"""The addresses under `/api/v1` for programs and pages."""

from __future__ import annotations

import pytest

from pipeline.daemon.web import access
from pipeline.daemon.web.tokens import Tokens
from pipeline.imaging import codec
from tests.daemon.waiting import until
from tests.daemon.web.conftest import TIMEOUT_S, Reply, Serve


@pytest.mark.parametrize("size", ["small", "large"])
def test_the_picture_of_a_part_is_a_jpeg_that_a_browser_may_keep(serve: Serve, size: str) -> None:
    served = serve()
    identity = served.send(50).json["id"]
    reply = served.ask("GET", f"/api/v1/records/{identity}/picture?size={size}")
    assert (reply.status, reply.headers["content-type"]) == (200, "image/jpeg")
    assert reply.headers["cache-control"] == "private, max-age=3600"
    assert codec.decode(reply.body).mean() == pytest.approx(50, abs=2)


def test_a_heat_map_comes_once_it_is_made_and_names_its_model(serve: Serve) -> None:
    served = serve()
    identity = served.send(50).json["id"]
    replies = list[Reply]()

    def made() -> bool:
        replies.append(served.ask("GET", f"/api/v1/records/{identity}/heat"))
        return replies[-1].status != 202

    until(made, "the heat map", TIMEOUT_S)
    assert replies[0].status == 202
    assert 0 <= replies[0].json["done"] < 1
    assert (replies[-1].status, replies[-1].headers["x-model-version"]) == (200, "cells/3")
    assert codec.decode(replies[-1].body).shape == (448, 448, 3)


@pytest.mark.parametrize("what", ["picture", "heat"])
def test_a_record_that_is_unknown_has_neither(serve: Serve, what: str) -> None:
    reply = serve().ask("GET", f"/api/v1/records/unknown/{what}")
    assert reply.status == 404
    assert "unknown" in reply.detail


def test_a_picture_that_is_not_kept_is_404_and_named(serve: Serve) -> None:
    served = serve()
    first = served.send(200).json["id"]
    served.send(200)
    reply = served.ask("GET", f"/api/v1/records/{first}/picture")
    assert (reply.status, reply.detail) == (404, f"no picture of record {first} is kept")


@pytest.mark.parametrize("what", ["picture", "heat"])
def test_pictures_need_a_token_that_reads(
    serve: Serve, tokens: Tokens, actor: str, what: str
) -> None:
    served = serve(tokens=tokens.path)
    path = f"/api/v1/records/0/{what}"
    assert served.ask("GET", path).status == 401
    assert served.ask("GET", path, authorization=actor).status == 403


def test_small_pictures_do_not_count_among_those_who_read(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page asks for ten at once, and ten pages may be open."""
    monkeypatch.setattr(access, "READERS", 0)
    served = serve()
    identity = served.send(50).json["id"]
    assert served.ask("GET", f"/api/v1/records/{identity}/picture").status == 200
    assert served.ask("GET", f"/api/v1/records/{identity}/heat").status == 503
