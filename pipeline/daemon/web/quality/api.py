"""`/api/v1/quality`: the control charts for the page and for programs; limits need scope `act`."""

from __future__ import annotations

import sqlite3
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse

from pipeline.daemon.quality.chart import MOST_DAYS, SHOWN, Plan, baseline_from
from pipeline.daemon.quality.subgroups import day_of
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.station import Station
from pipeline.daemon.web.access import TokenCheck
from pipeline.daemon.web.filters import TIME, time_of
from pipeline.daemon.web.quality.answer import answered
from pipeline.daemon.web.records import aside
from pipeline.errors import DataError
from pipeline.ledger.database import connected
from pipeline.ledger.quality.baselines import add_baseline, baselines

Answers = dict[int | str, dict[str, Any]]
SIZE = 200  # parts in a subgroup where nobody asked for another number
PER = "hour, day or parts; without it as the last limits of this camera were set, or hour"
LONGEST = 200


class QualityApi:
    """Answers what is asked of the control charts, and stores the limits that people set."""

    def __init__(self, station: Station, clock: Clock | None = None) -> None:
        self._ledger = station.ledger
        self._cameras = [camera.name for camera in station.cameras]
        self._clock = clock or Clock()

    def add_to(self, app: FastAPI, door: TokenCheck, refusals: Answers) -> None:
        """Add the routes."""
        read, act = [Depends(door.read)], [Depends(door.act)]
        app.get("/api/v1/quality", dependencies=read, responses=refusals, response_class=Response)(
            self.quality
        )
        app.post(
            "/api/v1/quality/limits", dependencies=act, responses=refusals, response_class=Response
        )(self.limits)

    async def quality(
        self,
        camera: Annotated[str, Query(max_length=LONGEST, description="its name; all: empty")] = "",
        per: Annotated[Literal["", "hour", "day", "parts"], Query(description=PER)] = "",
        size: Annotated[int, Query(description="least parts of a subgroup by parts")] = 0,
        since: Annotated[str, Query(max_length=LONGEST, description=f"from then: {TIME}")] = "",
        until: Annotated[str, Query(max_length=LONGEST, description=f"before then: {TIME}")] = "",
    ) -> Response:
        """The control chart of the share of FAIL, and what else changed with time.

        Points have the limits of the last baseline, which a person has set; without one those of
        what is shown, if that is enough. `counted` names up to which record the figures go.
        """
        return JSONResponse(await self.answer(camera, per, size, since, until))

    async def limits(
        self,
        request: Request,
        since: Annotated[str, Query(max_length=LONGEST, description=f"from then: {TIME}")],
        until: Annotated[str, Query(max_length=LONGEST, description=f"before then: {TIME}")],
        camera: Annotated[str, Query(max_length=LONGEST, description="its name; all: empty")] = "",
        per: Annotated[Literal["", "hour", "day", "parts"], Query(description=PER)] = "",
        size: Annotated[int, Query(description="least parts of a subgroup by parts")] = 0,
        name: Annotated[str, Query(max_length=LONGEST, description="who answers for it")] = "",
        comment: Annotated[str, Query(max_length=1000)] = "",
    ) -> Response:
        """Freeze the limits of a chart as they follow from a period; former ones are kept.

        They are those of the person whose token it is; `name` is for a station without tokens.
        """
        person = request.state.token or name
        return JSONResponse(await self.freeze(camera, per, size, since, until, person, comment))

    async def answer(
        self, camera: str, per: str, size: int, since: str, until: str
    ) -> dict[str, Any]:
        """All that is known of a period; raises HTTPException 422 for one that cannot be."""
        now = self._clock.now()
        plan = await self._plan(camera, per, size)
        end = time_of("until", until) or now
        begin = time_of("since", since) or day_of(end - SHOWN[plan.per])
        if not 0 < (end - begin).total_seconds() <= MOST_DAYS * 86_400:
            raise HTTPException(
                422, f"since and until: give a period that has a length, up to {MOST_DAYS} days"
            )

        def read() -> dict[str, Any]:
            with self._connected() as db:
                return answered(db, plan, begin, end, now)

        return await aside(read)

    async def freeze(
        self,
        camera: str,
        per: str,
        size: int,
        since: str,
        until: str,
        person: str,
        comment: str,
    ) -> dict[str, Any]:
        """Store limits; raises HTTPException 422 where they cannot be had from that period."""
        plan = await self._plan(camera, per, size)
        begin, end = time_of("since", since), time_of("until", until)
        if begin is None or end is None:
            raise HTTPException(422, f"since and until: give both; {TIME}")
        given = (begin, end, person, comment)

        def store() -> dict[str, Any]:
            with self._connected() as db:
                found = baseline_from(db, plan, *given, self._clock.now())
            return asdict(add_baseline(self._ledger, found))

        try:
            return await aside(store)
        except DataError as error:
            raise HTTPException(422, str(error)) from None

    async def _plan(self, camera: str, per: str, size: int) -> Plan:
        """The plan that was asked for; raises HTTPException 422."""
        if camera and camera not in self._cameras:
            names = ", ".join(self._cameras)
            raise HTTPException(422, f'camera "{camera[:50]}" unknown; choose {names}')
        if not per:
            per, size = await aside(lambda: self._last(camera))
        try:
            return Plan.checked(camera, per, size or SIZE)
        except DataError as error:
            raise HTTPException(422, str(error)) from None

    def _connected(self) -> AbstractContextManager[sqlite3.Connection]:
        """A connection of its own for each request, so that no worker of the station waits."""
        return connected(self._ledger.path, "requests", self._ledger.station, timeout_s=1)

    def _last(self, camera: str) -> tuple[str, int]:
        """How the subgroups of the last limits of a camera were made."""
        with self._connected() as db:
            for baseline in baselines(db):
                if baseline.camera == camera:
                    return baseline.per, baseline.size
        return "hour", 0
