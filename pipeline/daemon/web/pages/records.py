"""The page Records: a filter and what it finds; and the page of one record, to be linked to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fastapi import HTTPException, Request, Response
from starlette.routing import BaseRoute

from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.web.filters import NAMES, filter_from
from pipeline.daemon.web.pages.site import Site
from pipeline.errors import ModelWithdrawn

ON_A_PAGE = 48


def routes(site: Site) -> list[BaseRoute]:
    """Their routes."""
    records = RecordPages(site)
    return [
        site.page("/records", records.found),
        site.page("/records/{identity}", records.one),
    ]


class RecordPages:
    """Shows records."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def found(self, request: Request) -> Response:
        """What the filter in the address finds, newest first."""
        given = {name: request.query_params.get(name, "") for name in NAMES}
        values: dict[str, Any] = {
            "given": given,
            "verdicts": list(Verdict),
            "classes": self._classes(),
            "cameras": [camera.name for camera in self._site.station.cameras],
        }
        try:
            wanted = await filter_from(given)
            before = request.query_params.get("before", "")
            result = await self._site.api.found(wanted, ON_A_PAGE, before)
        except HTTPException as refused:
            empty = {"records": [], "older": "", "searched_to": "", "archived_to": ""}
            return self._site.show(
                request, "records.html.j2", code=422, fault=str(refused.detail), **values, **empty
            )
        return self._site.show(
            request,
            "records.html.j2",
            fault="",
            **values,
            records=[shown(record) for record in result.records],
            archived_to=await self._site.api.archived_to(),
            older=result.before,
            searched_to=local_time(result.searched_to) if result.searched_to else "",
        )

    async def one(self, request: Request) -> Response:
        """One record, with its picture and what people found of it."""
        api = self._site.api
        record = await api.closed(request.path_params["identity"])
        reviews = [
            {**review, "at": local_time(review["reviewed_at"])}
            for review in await api.reviews(record.id)
        ]
        scores = sorted(record.scores.items(), key=lambda score: -score[1])
        return self._site.show(
            request, "record.html.j2", record=shown(record), scores=scores, reviews=reviews
        )

    def _classes(self) -> tuple[str, ...]:
        """Those of the model at work."""
        try:
            return self._site.station.model.current.inspector.bundle.taxonomy.names
        except ModelWithdrawn:
            return ()


def shown(record: Record) -> Mapping[str, Any]:
    """A record as the pages show it."""
    return {**vars(record), "at": local_time(record.captured_at)}


def local_time(text: str) -> str:
    """A time of the ledger in the station's local time, as `2026-11-28 15:48:50`."""
    at = datetime.fromisoformat(text)
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
