"""`/api/v1`: records for programs and for the pages, described by OpenAPI."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, HTTPException, Query, Response
from fastapi.responses import JSONResponse, StreamingResponse

from pipeline.contracts.records import Record
from pipeline.daemon.settings.challenge import Challenge
from pipeline.daemon.sinks import message
from pipeline.daemon.station import Station
from pipeline.daemon.web.access import TokenCheck
from pipeline.daemon.web.challenge.api import ChallengeApi
from pipeline.daemon.web.export import TYPES, exported
from pipeline.daemon.web.filters import filter_of
from pipeline.daemon.web.live.heat_maps import HeatMaps
from pipeline.daemon.web.live.pictures import LARGE_PX, SMALL_PX, SmallPictures
from pipeline.daemon.web.quality.api import QualityApi
from pipeline.daemon.web.records import KeptRecords, aside
from pipeline.ledger.queries import RecordFilter, SearchResult

Answers = dict[int | str, dict[str, Any]]
JPEG: Answers = {200: {"content": {"image/jpeg": {}}}}
FILES: Answers = {200: {"content": {"text/csv": {}, "application/jsonl": {}}}}
UNFINISHED: Answers = {202: {"description": "being made in idle time; ask again in a moment"}}
# The picture of a record never changes, but it may be removed.
BRIEFLY = {"cache-control": "private, max-age=3600"}
MOST = 200  # records in one answer
SEARCH_S = 0.2  # a search that takes longer is answered with what it has found, and goes on
BEFORE = "`next` of the answer before, or the id of a record: only older ones"


class Api:
    """Answers what programs and pages ask of records.

    Attributes:
        pictures: of parts, small.
        heat_maps: of parts, made in idle time.
        challenge: answers what is asked of challenge runs.
        quality: the control charts.
    """

    def __init__(
        self, station: Station, archive: KeptRecords, challenge: Challenge | None = None
    ) -> None:
        self.challenge = ChallengeApi(station, challenge)
        self.pictures = SmallPictures(archive)
        self._archive = archive
        self.heat_maps = HeatMaps(station, self.pictures)
        self.quality = QualityApi(station)
        station.recorder.subscribe(self.pictures.hold)

    def add_to(self, app: FastAPI, door: TokenCheck, refusals: Answers) -> None:
        """Add the routes, all of which need scope `read`, but for limits of charts."""
        read = [Depends(door.read)]
        for path, handler, answers in (
            ("/records", self.records, {}),
            ("/records/{identity}", self.record, {}),
            ("/records/{identity}/picture", self.picture, JPEG),
            ("/records/{identity}/heat", self.heat, JPEG | UNFINISHED),
            ("/export.{kind}", self.export, FILES),
        ):
            app.get(
                f"/api/v1{path}",
                dependencies=read,
                responses=refusals | answers,
                response_class=Response,
            )(handler)
        self.quality.add_to(app, door, refusals)

        async def described() -> Response:
            return JSONResponse(app.openapi())

        app.get("/api/v1/openapi.json", dependencies=read, include_in_schema=False)(described)

    async def records(
        self,
        wanted: Annotated[RecordFilter, Depends(filter_of)],
        limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
        before: Annotated[str, Query(max_length=200, description=BEFORE)] = "",
    ) -> Response:
        """Records, newest first.

        `next` is the `before` of the records behind these, null where there are none. Where time
        was up before there were `limit`, `searched_to` names how far back was searched.
        Records of the months up to `archived_to` are archived and not searched, but for those that
        were kept for review; `/records?serial=` finds them.
        """
        found = await self.found(wanted, limit, before)
        answer = {
            "records": [message(record) for record in found.records],
            "next": found.before or None,
            "searched_to": found.searched_to or None,
            "archived_to": await self.archived_to() or None,
        }
        return JSONResponse(answer)

    async def record(self, identity: str) -> Response:
        """One record, with what people found of the part: `reviews`, of which the last counts."""
        record = await self.closed(identity)
        return JSONResponse({**message(record), "reviews": await self.reviews(identity)})

    async def export(
        self, kind: Literal["csv", "jsonl"], wanted: Annotated[RecordFilter, Depends(filter_of)]
    ) -> Response:
        """All records that fit, newest first: as CSV for spreadsheets, or JSON Lines."""
        headers = {"content-disposition": f'attachment; filename="records.{kind}"'}
        lines = exported(self._archive, wanted, kind)
        return StreamingResponse(lines, headers=headers, media_type=TYPES[kind])

    async def found(self, wanted: RecordFilter, limit: int, before: str) -> SearchResult:
        """The newest records that are wanted; raises HTTPException 422 for a wrong `before`."""
        try:
            return await aside(lambda: self._archive.search(wanted, limit, before, SEARCH_S))
        except ValueError as error:
            raise HTTPException(422, f"before: {error}") from None

    async def archived_to(self) -> str:
        """The last month whose records are archived and not searched; "" for none."""
        return await aside(self._archive.archived_to)

    async def picture(self, identity: str, size: Literal["small", "large"] = "large") -> Response:
        """A small picture of a part (JPEG); the whole frame is at `/records/ID/frame`."""
        side_px = SMALL_PX if size == "small" else LARGE_PX
        jpeg = await aside(lambda: self.pictures.small(identity, side_px))
        if jpeg is None:
            raise HTTPException(404, f"no picture of record {identity[:100]} is kept")
        return Response(jpeg, media_type="image/jpeg", headers=BRIEFLY)

    async def heat(self, identity: str) -> Response:
        """Where in the picture the score comes from (JPEG), by the model at work.

        Made in idle time: until it is there the answer is 202 with the share that is done.
        """
        record = await self.closed(identity)
        found = self.heat_maps.ask(record.id, record.part_class)
        if found.failure:
            raise HTTPException(404, found.failure)
        if found.jpeg is None:
            return JSONResponse({"done": round(found.done, 3)}, 202)
        headers = {**BRIEFLY, "x-model-version": found.model_version}
        return Response(found.jpeg, media_type="image/jpeg", headers=headers)

    async def reviews(self, identity: str) -> list[dict[str, Any]]:
        """What people found of a record, in the order of their reviews."""
        return await aside(lambda: self._archive.reviews(identity))

    async def closed(self, identity: str) -> Record:
        """A closed record; raises HTTPException 404 where there is none."""
        found = await aside(lambda: self._archive.record(identity))
        if found is None:
            raise HTTPException(404, f"no closed record {identity[:100]}")
        return found
