"""The addresses under `/api/v1/review`."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.contracts.records import Verdict
from pipeline.daemon.settings.http import Http
from pipeline.daemon.web.app import routes_of
from pipeline.daemon.web.review.api import MOST_BYTES, NOT_LOGGED_IN
from pipeline.ledger.review.reviews import opened
from tests.daemon.web.conftest import Serve
from tests.daemon.web.pages.conftest import logged_in
from tests.daemon.web.review.conftest import Waiting, add_part


def test_a_part_is_given_answered_undone_and_answered_again(waiting: Waiting) -> None:
    station = waiting()
    identity = station.part("SN-1")
    reply = station.post("/next", {"most": 2}).json
    assert (reply["person"], reply["waiting"], reply["skipped"]) == ("anna", 1, 0)
    assert reply["classes"] == [
        {"name": "good", "disposition": "pass"},
        {"name": "defective", "disposition": "scrap"},
    ]
    (part,) = reply["parts"]
    assert (part["id"], part["verdict"], part["class"]) == (identity, "REVIEW", "defective")
    answer = station.post(f"/parts/{identity}/answer", {"class": "good", "comment": "dust"}).json
    assert (answer["reviewer"], answer["part_class"], answer["kept"]) == ("anna", "good", True)
    undone = station.post(f"/parts/{identity}/undo").json
    assert undone == {"record": identity, "withdrawn_by": "anna"}
    station.post(f"/parts/{identity}/answer", {"class": "defective"})
    record = station.served.ask(
        "GET", f"/api/v1/records/{identity}", authorization=f"Bearer {station.anna}"
    ).json
    given = [(r["reviewer"], r["part_class"], r["comment"]) for r in record["reviews"]]
    assert given == [("anna", "good", "dust"), ("anna", "", ""), ("anna", "defective", "")]


def test_two_people_get_different_parts(waiting: Waiting) -> None:
    station = waiting()
    for serial in "abc":
        station.part(serial)
    mine = station.post("/next", {"most": 2}).json["parts"]
    others = station.post("/next", {"most": 2}, station.kim).json["parts"]
    assert [part["serial"] for part in (*mine, *others)] == ["a", "b", "c"]
    identity = mine[0]["id"]
    refused = station.post(f"/parts/{identity}/open", token=station.kim)
    assert (refused.status, "anna has this part in hand" in refused.detail) == (409, True)
    assert station.post("/release", {"records": [identity]}).json == {"released": 1}
    assert station.post(f"/parts/{identity}/open", token=station.kim).json["reviews"] == []


def test_a_skipped_part_is_counted(waiting: Waiting) -> None:
    station = waiting()
    identity = station.part("a")
    assert station.post(f"/parts/{identity}/skip").json == {"skipped": identity}
    reply = station.post("/next", {}).json
    assert (reply["parts"], reply["skipped"]) == ([], 1)


def test_who_reviews_blind_is_not_shown_what_the_station_thinks(waiting: Waiting) -> None:
    station = waiting()
    station.part("a")
    (part,) = station.post("/next", {"blind": True}).json["parts"]
    assert set(part) == {"id", "at", "serial", "camera"}


def test_progress_and_disagreements_are_listed(waiting: Waiting) -> None:
    station = waiting(enough=3)
    identity = station.part("a", Verdict.FAIL)
    for token, part_class in ((station.anna, "good"), (station.kim, "defective")):
        station.post(f"/parts/{identity}/answer", {"class": part_class}, token)
    found = station.get("/progress").json
    assert (found["enough"], found["disagreements"], found["helps"]) == (3, 1, "good")
    listed = station.get("/disagreements").json
    assert listed["all"] == 1
    (part,) = listed["parts"]
    assert [(r["reviewer"], r["part_class"]) for r in part["reviews"]] == [
        ("anna", "good"),
        ("kim", "defective"),
    ]


@pytest.mark.parametrize(
    ("path", "body", "status", "named"),
    [
        ("/parts/unknown/answer", {"class": "good"}, 404, "no closed record unknown"),
        ("/parts/unknown/undo", None, 404, "no closed record unknown"),
        ("/parts/unknown/answer", {"class": ""}, 422, "class"),
        ("/parts/unknown/answer", {"class": "good", "comment": "x" * 3000}, 422, "comment"),
        ("/parts/unknown/answer", {"comment": "x"}, 422, "class"),
        ("/parts/unknown/answer", ["good"], 422, "the body"),
        ("/next", {"order": "luck"}, 422, "order"),
        ("/next", {"sorted": True}, 422, "sorted"),
        ("/next", {"class": "x" * MOST_BYTES}, 413, "too large"),
    ],
)
def test_what_cannot_be_taken_is_named(
    waiting: Waiting, path: str, body: object, status: int, named: str
) -> None:
    reply = waiting().post(path, body)
    assert (reply.status, named in reply.detail) == (status, True), reply.body


def test_a_class_that_the_model_does_not_have_is_refused_and_the_part_still_waits(
    waiting: Waiting,
) -> None:
    station = waiting()
    identity = station.part("a")
    reply = station.post(f"/parts/{identity}/answer", {"class": "scratch"})
    assert (reply.status, "choose defective, good" in reply.detail) == (422, True)
    assert len(station.post("/next", {}).json["parts"]) == 1


@pytest.mark.parametrize("path", ["/next", "/parts/1/answer", "/parts/1/undo", "/release"])
def test_reviewing_needs_scope_judge(waiting: Waiting, path: str, reader: str, actor: str) -> None:
    station = waiting()
    assert station.post(path, {}, authorization="").status == 401
    for token in (reader, actor):
        refused = station.post(path, {}, authorization=token)
        assert (refused.status, "judge" in refused.detail) == (403, True)


def test_with_a_session_only_the_stations_own_pages_review(waiting: Waiting) -> None:
    station = waiting()
    cookie = logged_in(station.served, station.anna)
    elsewhere = station.post("/next", {}, authorization="", cookie=cookie)
    assert (elsewhere.status, "own pages" in elsewhere.detail) == (403, True)
    other = station.post("/next", {}, authorization="", cookie=cookie, origin="https://evil.test")
    assert other.status == 403
    own = f"http://127.0.0.1:{station.served.port}"
    mine = station.post("/next", {}, authorization="", cookie=cookie, origin=own)
    assert (mine.status, mine.json["person"]) == (200, "anna")


def test_on_an_open_loopback_the_reviewer_is_named_as_nobody_who_has_logged_in(
    serve: Serve, tmp_path: Path
) -> None:
    served = serve(frames=tmp_path)
    ledger = served.station.ledger
    identity = add_part(ledger, tmp_path, "a")
    reply = served.ask("POST", f"/api/v1/review/parts/{identity}/answer", b'{"class": "good"}')
    assert reply.json["reviewer"] == NOT_LOGGED_IN
    with opened(ledger.path, ledger.station) as reviews:
        assert [r.reviewer for r in reviews.of(identity)] == ["not logged in"]


def test_the_description_names_each_body(serve: Serve) -> None:
    described = routes_of(serve().web.service, Http(open_on_loopback=True)).openapi()["paths"]
    answer = described["/api/v1/review/parts/{identity}/answer"]["post"]
    schema = answer["requestBody"]["content"]["application/json"]["schema"]
    assert set(schema["properties"]) == {"class", "comment"}
    assert schema["required"] == ["class"]
