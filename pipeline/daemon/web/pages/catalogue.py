"""All pages, in the order of the navigation. A new page is one more line in each of the two."""

from __future__ import annotations

from fastapi import HTTPException, Request, Response
from starlette.routing import BaseRoute

from pipeline.daemon.station import Station
from pipeline.daemon.web.access import TokenCheck
from pipeline.daemon.web.api import Api
from pipeline.daemon.web.pages import challenge, live, login, msa, quality, records, review
from pipeline.daemon.web.pages.assets import Assets
from pipeline.daemon.web.pages.renderer import Entry, Renderer
from pipeline.daemon.web.pages.site import Site
from pipeline.daemon.web.tokens import Scope

ENTRIES = (
    Entry("/", "live.title", Scope.READ),
    Entry("/records", "records.title", Scope.READ),
    Entry("/quality", "quality.title", Scope.READ),
    Entry("/review", "review.title", Scope.JUDGE),
    Entry("/challenge", "challenge.title", Scope.READ),
    Entry("/msa", "msa.title", Scope.JUDGE),
)
PAGES = (live, records, quality, review, challenge, msa, login)


def routes_of_pages(
    station: Station, api: Api, door: TokenCheck
) -> tuple[list[BaseRoute], list[BaseRoute]]:
    """The routes before all others, and those behind: the page for what is nowhere."""
    assets = Assets()
    renderer = Renderer(station.ledger.station, ENTRIES, assets)
    site = Site(station, api, renderer, door)

    async def nowhere(request: Request) -> Response:
        raise HTTPException(404, request.url.path[:200])

    found = [route for page in PAGES for route in page.routes(site)]
    return [*assets.routes(), *found], [site.page("/{path:path}", nowhere, scope=None)]
