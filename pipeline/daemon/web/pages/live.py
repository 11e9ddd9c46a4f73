"""The page Live: what the station is doing now."""

from __future__ import annotations

from fastapi import Request, Response
from starlette.routing import BaseRoute

from pipeline.daemon.status import StationStatus
from pipeline.daemon.web.pages.site import Site
from pipeline.daemon.web.records import aside


def routes(site: Site) -> list[BaseRoute]:
    """Its routes."""

    async def show(request: Request) -> Response:
        status = await aside(site.station.status)
        return site.show(request, "live.html.j2", status=status, state=state_of(status))

    return [site.page("/", show)]


def state_of(status: StationStatus) -> tuple[str, tuple[str, ...]]:
    """The state in one word (`inspecting`, `degraded`, `idle`), and why it is not the first."""
    if status.not_ready:
        return "idle", status.not_ready
    if status.degraded:
        return "degraded", (status.degraded,)
    return "inspecting", ()
