"""`/api/v1`: records for programs and for the pages, described by OpenAPI."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import Depends, FastAPI, HTTPException, Response
from fastapi.responses import JSONResponse

from pipeline.contracts.records import Record
from pipeline.daemon.station import Station
from pipeline.daemon.web.access import TokenCheck
from pipeline.daemon.web.live.heat_maps import HeatMaps
from pipeline.daemon.web.live.pictures import LARGE_PX, SMALL_PX, SmallPictures
from pipeline.daemon.web.records import KeptRecords, aside

Answers = dict[int | str, dict[str, Any]]
JPEG: Answers = {200: {"content": {"image/jpeg": {}}}}
UNFINISHED: Answers = {202: {"description": "being made in idle time; ask again in a moment"}}
# The picture of a record never changes, but it may be removed.
BRIEFLY = {"cache-control": "private, max-age=3600"}


class Api:
    """Answers what programs and pages ask of records.

    Attributes:
        pictures: of parts, small.
        heat_maps: of parts, made in idle time.
    """

    def __init__(self, station: Station, archive: KeptRecords) -> None:
        self.pictures = SmallPictures(archive)
        self._archive = archive
        self.heat_maps = HeatMaps(station, self.pictures)
        station.recorder.subscribe(self.pictures.hold)

    def add_to(self, app: FastAPI, door: TokenCheck, refusals: Answers) -> None:
        """Add the routes, all of which need scope `read`."""
        read = [Depends(door.read)]
        for path, handler, answers in (
            ("/picture", self.picture, JPEG),
            ("/heat", self.heat, JPEG | UNFINISHED),
        ):
            app.get(
                f"/api/v1/records/{{identity}}{path}",
                dependencies=read,
                responses=refusals | answers,
                response_class=Response,
            )(handler)

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
        record = await self._record(identity)
        found = self.heat_maps.ask(record.id, record.part_class)
        if found.failure:
            raise HTTPException(404, found.failure)
        if found.jpeg is None:
            return JSONResponse({"done": round(found.done, 3)}, 202)
        headers = {**BRIEFLY, "x-model-version": found.model_version}
        return Response(found.jpeg, media_type="image/jpeg", headers=headers)

    async def _record(self, identity: str) -> Record:
        found = await aside(lambda: self._archive.record(identity))
        if found is None:
            raise HTTPException(404, f"no closed record {identity[:100]}")
        return found
