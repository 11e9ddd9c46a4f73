"""`/api/v1/challenge` of a real station."""

from __future__ import annotations

import json

import pytest

from pipeline.daemon.settings.challenge import Challenge, KnownPartSettings
from pipeline.daemon.web.tokens import Scope, Tokens
from tests.daemon.waiting import until
from tests.daemon.web.conftest import Reply, Serve, Served

RULES = Challenge(
    parts=(
        KnownPartSettings(serial="RR-1", verdict="FAIL"),
        KnownPartSettings(serial="G-1", verdict="PASS"),
    ),
    grace_min=0,
)


def start(served: Served, by: str = "anna", **headers: str) -> Reply:
    body = json.dumps({"by": by})
    return served.ask("POST", "/api/v1/challenge", body, content_type="application/json", **headers)


def taken_up(served: Served) -> None:
    """Return once the station has taken up the open run."""
    path = "/api/v1/challenge"
    until(lambda: served.ask("GET", path).json["open"]["started_s"] is not None, "a run taken up")


def test_parts_pass_after_a_run_and_not_before(serve: Serve) -> None:
    served = serve(challenge=RULES)
    first = served.send(200, x_serial="7").json
    assert (first["verdict"], first["kind"]) == ("REVIEW", "part")
    assert first["reason"].startswith("challenge run overdue")
    assert start(served).status == 201
    taken_up(served)
    assert served.send(50, x_serial="RR-1").json["kind"] == "challenge"
    assert served.send(200, x_serial="G-1").json["verdict"] == "PASS"
    path = "/api/v1/challenge/1"
    until(lambda: served.ask("GET", path).json["passed"] is True, "a run that passed")
    assert served.send(200, x_serial="8").json["verdict"] == "PASS"
    found = served.ask("GET", path).json
    assert [(p["serial"], p["met"]) for p in found["parts"]] == [("RR-1", True), ("G-1", True)]
    assert served.station.ledger.account().balances
    assert served.ask("GET", "/api/v1/challenge").json["withheld"] == ""


def test_a_second_run_is_refused_while_one_is_open(serve: Serve) -> None:
    served = serve(challenge=RULES)
    start(served)
    refused = start(served, "ben")
    assert (refused.status, "of anna is open" in refused.detail) == (409, True)


def test_a_station_without_challenge_runs_starts_none(serve: Serve) -> None:
    served = serve()
    assert start(served).status == 404
    assert served.ask("GET", "/api/v1/challenge").json == {"withheld": "", "open": None, "runs": []}


@pytest.mark.parametrize("by", ["", "  "])
def test_a_run_without_a_name_is_refused(serve: Serve, by: str) -> None:
    assert start(serve(challenge=RULES), by).status == 422


def test_an_unknown_run_is_not_found(serve: Serve) -> None:
    served = serve(challenge=RULES)
    for number in ("7", "9" * 30):
        assert served.ask("GET", f"/api/v1/challenge/{number}").status == 404


@pytest.mark.parametrize(
    ("scope", "status"), [(Scope.READ, 403), (Scope.JUDGE, 201), (Scope.ACT, 201)]
)
def test_who_judges_or_acts_may_start_a_run(
    serve: Serve, tokens: Tokens, scope: Scope, status: int
) -> None:
    token = tokens.new("panel", [scope])
    served = serve(challenge=RULES, tokens=tokens.path)
    assert start(served, authorization=f"Bearer {token}").status == status
