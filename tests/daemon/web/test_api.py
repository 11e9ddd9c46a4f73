"""The addresses under `/api/v1` for programs and pages."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from pipeline.daemon.web import access
from pipeline.daemon.web.filters import NAMES
from pipeline.daemon.web.tokens import Tokens
from pipeline.imaging import codec
from pipeline.ledger.review.reviews import opened
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


def serials(reply: Reply) -> list[str]:
    return [record["serial"] for record in reply.json["records"]]


def test_records_are_filtered_and_come_a_page_at_a_time_newest_first(serve: Serve) -> None:
    served = serve()
    for number, brightness in enumerate((50, 200, 50, 50)):
        served.send(brightness, x_serial=str(number))
    first = served.ask("GET", "/api/v1/records?verdict=FAIL&limit=2")
    assert (serials(first), first.json["searched_to"]) == (["3", "2"], None)
    rest = served.ask("GET", f"/api/v1/records?verdict=FAIL&before={quote(first.json['next'])}")
    assert (serials(rest), rest.json["next"]) == (["0"], None)
    identity = first.json["records"][1]["id"]
    before = served.ask("GET", f"/api/v1/records?before={identity}")
    assert serials(before) == ["1", "0"]


def test_a_record_has_what_people_found_of_it(serve: Serve) -> None:
    served = serve()
    sent = served.send(128).json
    station = served.station.ledger
    with opened(station.path, station.station) as reviews:
        reviews.add(sent["id"], "good", "A. Weber", "dust", datetime(2026, 11, 28, tzinfo=UTC))
    found = served.ask("GET", f"/api/v1/records/{sent['id']}").json
    (review,) = found.pop("reviews")
    assert found == sent
    assert (review["reviewer"], review["part_class"], review["comment"]) == (
        *("A. Weber", "good", "dust"),
    )


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("verdict=BAD", 'verdict "BAD" unknown'),
        ("before=nowhere", "before: there is no such record"),
        ("since=soon", "is not a time"),
        ("limit=0", "limit"),
    ],
)
def test_a_question_that_cannot_be_read_is_named(serve: Serve, query: str, named: str) -> None:
    reply = serve().ask("GET", f"/api/v1/records?{query}")
    assert (reply.status, named in reply.detail) == (422, True)


def test_an_unknown_record_is_404(serve: Serve) -> None:
    reply = serve().ask("GET", "/api/v1/records/unknown")
    assert (reply.status, reply.detail) == (404, "no closed record unknown")


def test_the_api_is_described_to_who_may_read(serve: Serve, tokens: Tokens, reader: str) -> None:
    served = serve(tokens=tokens.path)
    assert served.ask("GET", "/api/v1/openapi.json").status == 401
    described = served.ask("GET", "/api/v1/openapi.json", authorization=reader).json
    path = described["paths"]["/api/v1/records"]["get"]
    names = {parameter["name"] for parameter in path["parameters"]}
    assert names == {*NAMES, "limit", "before"}
    assert "newest first" in path["description"]
