"""A station whose parts wait for people."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest

from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.web.tokens import Scope, Tokens
from pipeline.imaging import codec
from pipeline.ledger.ledger import Ledger
from tests.daemon.conftest import picture
from tests.daemon.web.conftest import Reply, Serve, Served

AT = datetime(2026, 11, 28, 6, 0, tzinfo=UTC)
BRIGHTNESS = {Verdict.PASS: 200, Verdict.REVIEW: 128, Verdict.FAIL: 50}


def add_part(
    ledger: Ledger, frames: Path, serial: str, verdict: Verdict = Verdict.REVIEW, bad: float = 0.6
) -> str:
    """One more closed record with a kept frame; `bad` is the probability of `defective`."""
    at = AT + timedelta(seconds=ledger.account().triggers)
    identity = ledger.open_record(at, serial)
    inspected = verdict is not Verdict.NOT_INSPECTED
    scores = {"good": 1 - bad, "defective": bad} if inspected else {}
    part_class = ("good" if verdict is Verdict.PASS else "defective") if inspected else ""
    ledger.close_record(
        Record(
            *(identity, ledger.station, at.isoformat(), serial, verdict, "as it is", part_class),
            scores=scores,
            defect_score=bad if inspected else None,
        )
    )
    path = frames / f"2026-11-28/{identity}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(codec.encode_png(picture(BRIGHTNESS.get(verdict, 250))))
    ledger.note_image(identity, path.relative_to(frames).as_posix())
    return identity


@dataclass
class ReviewStation:
    """A station behind its web service, with parts that wait, and two people who review.

    Attributes:
        served: how to ask it.
        frames: folder of its kept frames.
        anna, kim: tokens with scopes `read` and `judge`.
    """

    served: Served
    frames: Path
    anna: str
    kim: str

    def part(self, serial: str, verdict: Verdict = Verdict.REVIEW, bad: float = 0.6) -> str:
        """One more part; returns its record's id."""
        return add_part(self.served.station.ledger, self.frames, serial, verdict, bad)

    def post(self, path: str, body: Any = None, token: str = "", **headers: str) -> Reply:
        """What a program asks of the queue; as Anna unless another token is given."""
        sent = {"authorization": f"Bearer {token or self.anna}", "content_type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        return self.served.ask("POST", f"/api/v1/review{path}", data, **sent | headers)

    def get(self, path: str, token: str = "") -> Reply:
        """A question that changes nothing."""
        headers = {"authorization": f"Bearer {token or self.anna}"}
        return self.served.ask("GET", f"/api/v1/review{path}", **headers)


class Waiting(Protocol):
    """Starts a station with two reviewers; `review` are its settings."""

    def __call__(self, **review: Any) -> ReviewStation: ...


@pytest.fixture
def people(tokens: Tokens) -> dict[str, str]:
    """Tokens of two people who look and judge, by name."""
    return {name: tokens.new(name, [Scope.READ, Scope.JUDGE]) for name in ("anna", "kim")}


@pytest.fixture
def waiting(serve: Serve, tokens: Tokens, people: dict[str, str], tmp_path: Path) -> Waiting:
    def start(**review: Any) -> ReviewStation:
        frames = tmp_path / "kept"
        served = serve(tokens=tokens.path, frames=frames, review=review)
        return ReviewStation(served, frames, people["anna"], people["kim"])

    return start
