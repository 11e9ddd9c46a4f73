"""The page Challenge: start a run, present its parts, print its protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from starlette.routing import BaseRoute

from pipeline.daemon.web.challenge.api import ask_to_start
from pipeline.daemon.web.pages.login import form_of
from pipeline.daemon.web.pages.records import local_time
from pipeline.daemon.web.pages.site import Site
from pipeline.daemon.web.tokens import Scope


def routes(site: Site) -> list[BaseRoute]:
    """Their routes."""

    async def overview(request: Request) -> Response:
        return await _overview(site, request)

    async def start(request: Request) -> Response:
        ask_to_start(site.door, request)
        site.door.require_own_page(request)
        try:
            begun = await site.api.challenge.started((await form_of(request)).get("by", ""))
        except HTTPException as refused:
            if refused.status_code not in (409, 422):
                raise
            return await _overview(site, request, str(refused.detail), refused.status_code)
        return RedirectResponse(f"/challenge/{begun['id']}", 303)

    async def one(request: Request) -> Response:
        found = await site.api.challenge.found(int(request.path_params["number"]))
        return site.show(request, "challenge_run.html.j2", run=_shown(found))

    return [
        site.page("/challenge", overview, Scope.READ),
        site.page("/challenge", start, None, methods=("POST",)),
        site.page("/challenge/{number:int}", one, Scope.READ),
    ]


async def _overview(site: Site, request: Request, fault: str = "", code: int = 200) -> Response:
    state = await site.api.challenge.state()
    return site.show(
        request,
        "challenge.html.j2",
        code=code,
        fault=fault,
        rules=site.api.challenge.rules,
        withheld=state["withheld"],
        open=state["open"] and _shown(state["open"]),
        runs=[_shown(run) for run in state["runs"]],
    )


def _shown(run: Mapping[str, Any]) -> dict[str, Any]:
    """A protocol with its times as the pages show them."""
    ended = local_time(run["ended_at"]) if run["ended_at"] else ""
    result = {None: "open", True: "passed", False: "failed"}[run["passed"]]
    return {**run, "started": local_time(run["started_at"]), "ended": ended, "result": result}
