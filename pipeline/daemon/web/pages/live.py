"""The page Live: what the station is doing now. What it shows comes with the stream of events."""

from __future__ import annotations

import json

from fastapi import Request, Response
from starlette.routing import BaseRoute

from pipeline.contracts.records import Verdict
from pipeline.daemon.web.live.feed import DOUBTFUL, STRIP
from pipeline.daemon.web.pages.site import Site

STATES = ("inspecting", "degraded", "idle")


def routes(site: Site) -> list[BaseRoute]:
    """Its routes."""

    async def show(request: Request) -> Response:
        t = site.renderer.texts_for(request)
        words = {v: t(f"verdict.{v}") for v in Verdict} | {s: t(f"live.state.{s}") for s in STATES}
        return site.show(
            request, "live.html.j2", words=json.dumps(words), strip=STRIP, doubtful=DOUBTFUL
        )

    return [site.page("/", show)]
