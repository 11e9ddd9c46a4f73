"""`/api/v1/quality`: charts for who may read, limits by who may act."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from pipeline.daemon.web.tokens import Tokens
from tests.daemon.waiting import until
from tests.daemon.web.conftest import Reply, Serve, Served
from tests.daemon.web.quality.conftest import FAILS, fill, hours_ago


def freeze(served: Served, hours: int = 24, headers: Any = None, **given: str) -> Reply:
    """Freeze limits of the last hours."""
    period = {"since": hours_ago(hours).isoformat(), "until": hours_ago(0).isoformat()}
    address = f"/api/v1/quality/limits?{urlencode(period | given)}"
    return served.ask("POST", address, **(headers or {}))


def test_limits_are_set_by_a_person_and_stay_as_they_are(serve: Serve) -> None:
    served = serve()
    fill(served.station.ledger, FAILS * 2)
    frozen = freeze(served, name="A. Weber", comment="new lamp")
    assert (frozen.status, frozen.json["seq"], frozen.json["parts"]) == (200, 1, 2400)
    fill(served.station.ledger, [40], camera="another")
    found = served.ask("GET", "/api/v1/quality").json
    assert (found["chart"]["baseline"], found["chart"]["centre"]) == (1, frozen.json["centre"])
    assert (found["baselines"][0]["set_by"], found["baselines"][0]["comment"]) == (
        *("A. Weber", "new lamp"),
    )


def test_limits_that_are_set_again_count_and_the_former_ones_are_kept(serve: Serve) -> None:
    served = serve()
    fill(served.station.ledger, FAILS * 2)
    freeze(served, name="A. Weber")
    freeze(served, 20, name="B. Kraus")
    found = served.ask("GET", "/api/v1/quality").json
    assert [baseline["set_by"] for baseline in found["baselines"]] == ["B. Kraus", "A. Weber"]
    assert found["chart"]["baseline"] == 2


def test_the_person_is_whose_token_it_is_and_reading_is_not_enough(
    serve: Serve, tokens: Tokens, reader: str, actor: str
) -> None:
    served = serve(tokens=tokens.path)
    fill(served.station.ledger, FAILS * 2)
    assert served.ask("GET", "/api/v1/quality").status == 401
    assert served.ask("GET", "/api/v1/quality", authorization=reader).status == 200
    assert freeze(served, headers={"authorization": reader}).status == 403
    frozen = freeze(served, headers={"authorization": actor}, name="somebody else")
    assert (frozen.status, frozen.json["set_by"]) == (200, "plc")


@pytest.mark.parametrize(
    ("hours", "given", "why"),
    [
        (24, {}, "name the person"),
        (10, {"name": "A"}, "limits need 20"),
        (24, {"name": "A", "camera": "none"}, 'camera "none" unknown; choose camera'),
        (24, {"name": "A", "per": "parts", "size": "7"}, "give a size from 50"),
        (24, {"name": "A", "since": "soon"}, "is not a time"),
    ],
)
def test_limits_that_cannot_be_had_are_refused_with_the_reason(
    serve: Serve, hours: int, given: dict[str, str], why: str
) -> None:
    served = serve()
    fill(served.station.ledger, FAILS * 2)
    refused = freeze(served, hours, **given)
    assert refused.status == 422
    assert why in refused.detail
    assert served.ask("GET", "/api/v1/quality").json["baselines"] == []


def test_a_chart_is_by_default_as_its_last_limits_were_made(serve: Serve) -> None:
    served = serve()
    fill(served.station.ledger, FAILS * 2)
    assert served.ask("GET", "/api/v1/quality").json["per"] == "hour"
    assert freeze(served, name="A", per="parts", size="100").status == 200
    found = served.ask("GET", "/api/v1/quality").json
    assert (found["per"], found["size"], found["chart"]["baseline"]) == ("parts", 100, 1)
    hourly = served.ask("GET", "/api/v1/quality?per=hour").json
    assert (hourly["size"], hourly["chart"]["baseline"]) == (0, None)


@pytest.mark.parametrize(
    "wrong", ["since=2026-11-28&until=2026-11-27", "since=2020-01-01", "per=week", "until=soon"]
)
def test_a_period_that_cannot_be_shown_is_refused(serve: Serve, wrong: str) -> None:
    assert serve().ask("GET", f"/api/v1/quality?{wrong}").status == 422


def test_the_worker_of_a_station_counts_its_parts(serve: Serve) -> None:
    served = serve()
    served.send(200)
    served.send(50)

    def seen() -> bool:
        return bool(served.ask("GET", "/api/v1/quality").json["counted"]["records"] == 2)

    until(seen, "two counted records")
    found = served.ask("GET", "/api/v1/quality").json
    assert [bar["name"] for bar in found["pareto"]] == ["defective"]
    assert sum(sum(s["verdicts"].values()) for s in found["verdicts"]) == 2
    assert datetime.fromisoformat(found["at"]).tzinfo == UTC
