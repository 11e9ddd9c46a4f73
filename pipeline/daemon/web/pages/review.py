"""The page Review: one part after another, answered by a key; and the parts that people dispute."""

from __future__ import annotations

import json

from fastapi import Request, Response
from starlette.routing import BaseRoute

from pipeline.contracts.records import Verdict
from pipeline.daemon.web.pages.site import Site
from pipeline.daemon.web.pages.texts import Texts
from pipeline.daemon.web.review.api import MOST_COMMENT, person_of
from pipeline.daemon.web.tokens import Scope
from pipeline.ledger.review.waiting import ReviewOrder

SCRIPT = "review.script."  # texts that the scripts show


def routes(site: Site) -> list[BaseRoute]:
    """Their routes."""

    async def review(request: Request) -> Response:
        return shown(request, "review.html.j2")

    async def disagreements(request: Request) -> Response:
        return shown(request, "disagreements.html.j2")

    def shown(request: Request, template: str) -> Response:
        person = person_of(request)
        site.door.ask(request, Scope.READ)  # the pictures need it
        return site.show(
            request,
            template,
            person=person,
            words=json.dumps(words_of(site.renderer.texts_for(request))),
            orders=list(ReviewOrder),
            most_comment=MOST_COMMENT,
        )

    return [
        site.page("/review", review, scope=Scope.JUDGE),
        site.page("/review/disagreements", disagreements, scope=Scope.JUDGE),
    ]


def words_of(texts: Texts) -> dict[str, str]:
    """What the scripts show, by short keys, and the verdicts."""
    found = {key.removeprefix(SCRIPT): texts(key) for key in texts.keys if key.startswith(SCRIPT)}
    return found | {str(verdict): texts(f"verdict.{verdict}") for verdict in Verdict}
