"""`/api/v1/challenge`: start challenge runs, and read their protocols.

Who reads needs scope `read`; who starts a run needs `judge` or `act`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from pipeline.daemon.settings.challenge import Challenge
from pipeline.daemon.station import Station
from pipeline.daemon.web.access import TokenCheck
from pipeline.daemon.web.records import aside
from pipeline.daemon.web.review.api import body_of
from pipeline.daemon.web.tokens import Scope
from pipeline.ledger.challenge.protocol import protocol
from pipeline.ledger.challenge.runs import RunOpen, begin, open_run, recent, run
from pipeline.ledger.database import connected
from pipeline.plugins import Strict

Answers = dict[int | str, dict[str, Any]]
SHOWN = 20
MOST_NAME = 100  # characters
NOT_SET_UP = "the line file of this station has no `challenge`"
OPEN: Answers = {409: {"description": "a run is open already"}, 201: {"description": "started"}}


class StartBody(Strict):
    """Who presents the parts."""

    by: str = Field(min_length=1, max_length=MOST_NAME, description="Name of the person.")


class ChallengeApi:
    """Starts runs and reads protocols.

    Attributes:
        rules: of the line file; None where it has none.
    """

    def __init__(self, station: Station, rules: Challenge | None) -> None:
        self.rules = rules
        self._station = station

    def add_to(self, app: FastAPI, door: TokenCheck, refusals: Answers) -> None:
        """Add the routes."""

        async def start(request: Request) -> Response:
            """Start a run; the body is `{"by": NAME}`."""
            ask_to_start(door, request)
            body = await body_of(request, StartBody)
            return JSONResponse(await self.started(body.by), 201)

        read: dict[str, Any] = {"dependencies": [Depends(door.read)], "responses": refusals}
        app.get("/api/v1/challenge", response_class=Response, **read)(self.overview)
        app.get("/api/v1/challenge/{number}", response_class=Response, **read)(self.one)
        app.post("/api/v1/challenge", responses=refusals | OPEN, response_class=Response)(start)

    async def overview(self) -> Response:
        """Why PASS is withheld, the run that is open and the last ones, newest first."""
        return JSONResponse(await self.state())

    async def one(self, number: int) -> Response:
        """The protocol of a run."""
        return JSONResponse(await self.found(number))

    async def state(self) -> dict[str, Any]:
        """What `overview` answers."""
        ledger = self._station.ledger

        def read() -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
            with connected(ledger.path, "challenge runs", ledger.station) as db:
                at_work = open_run(db)
                last = [protocol(db, ledger.station, r) for r in recent(db, SHOWN)]
                shown = None if at_work is None else protocol(db, ledger.station, at_work)
                return shown, last

        at_work, last = await aside(read)
        withheld = self._station.recorder.counters.withheld()
        return {"withheld": withheld, "open": at_work, "runs": last}

    async def found(self, number: int) -> dict[str, Any]:
        """The protocol of a run; raises HTTPException 404."""
        ledger = self._station.ledger

        def read() -> dict[str, Any] | None:
            with connected(ledger.path, "challenge runs", ledger.station) as db:
                there = run(db, number) if abs(number) < 2**63 else None
                return None if there is None else protocol(db, ledger.station, there)

        answer = await aside(read)
        if answer is None:
            raise HTTPException(404, f"no challenge run {str(number)[:30]}")
        return answer

    async def started(self, by: str) -> dict[str, Any]:
        """Start a run; raises HTTPException 404 without rules, 409 while one is open, 422."""
        rules, ledger, by = self.rules, self._station.ledger, by.strip()
        if rules is None:
            raise HTTPException(404, NOT_SET_UP)
        if not by:
            raise HTTPException(422, "by: name the person who presents the parts")

        def write() -> dict[str, Any]:
            with connected(ledger.path, "challenge runs", ledger.station, write=True) as db:
                parts = [part.known for part in rules.parts]
                begun = begin(db, datetime.now(UTC), by[:MOST_NAME], parts, rules.within_min * 60)
                return protocol(db, ledger.station, begun)

        try:
            return await aside(write)
        except RunOpen as there:
            raise HTTPException(409, str(there)) from None


def ask_to_start(door: TokenCheck, request: Request) -> None:
    """Raise HTTPException 401 or 403 where neither `judge` nor `act` allows the request."""
    try:
        door.ask(request, Scope.JUDGE)
    except HTTPException as refused:
        if refused.status_code != 403:
            raise
        door.ask(request, Scope.ACT)
