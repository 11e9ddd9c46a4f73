"""What all pages share: who may open them, their errors, and that only browsers get them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlencode

from fastapi import HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from starlette.routing import Match, Route

from pipeline.daemon.station import Station
from pipeline.daemon.web.access import TokenCheck
from pipeline.daemon.web.api import Api
from pipeline.daemon.web.pages.renderer import Renderer, Viewer
from pipeline.daemon.web.tokens import Scope
from pipeline.errors import LedgerError

Handler = Callable[[Request], Awaitable[Response]]


class PageRoute(Route):
    """A route for who asks for HTML, as browsers do; programs get what stands behind it."""

    def matches(self, scope: MutableMapping[str, Any]) -> tuple[Match, MutableMapping[str, Any]]:
        """Leave a request without `Accept: text/html` to the routes behind this one."""
        if scope["type"] == "http":
            accepted = (v for k, v in scope["headers"] if k == b"accept")
            if not any(b"text/html" in v for v in accepted):
                return Match.NONE, {}
        return super().matches(scope)


class Site:
    """The pages of one station.

    Attributes:
        station: what they show.
        api: answers what is asked of its records.
        renderer: fills their templates.
        door: knows who may open them.
    """

    def __init__(self, station: Station, api: Api, renderer: Renderer, door: TokenCheck) -> None:
        self.station = station
        self.api = api
        self.renderer = renderer
        self.door = door

    def page(
        self,
        path: str,
        handler: Handler,
        scope: Scope | None = Scope.READ,
        methods: tuple[str, ...] = ("GET",),
    ) -> PageRoute:
        """A route whose refusals and errors are pages, too.

        Args:
            path: its address.
            handler: makes the answer.
            scope: what the viewer needs; None: everybody may.
            methods: of HTTP.
        """

        async def answer(request: Request) -> Response:
            try:
                if scope is not None:
                    self.door.ask(request, scope)
                return await handler(request)
            except HTTPException as refused:
                if refused.status_code == 401 and request.method == "GET":
                    return self.to_login(request)
                return self.error(request, refused.status_code, str(refused.detail))
            except LedgerError as error:
                return self.error(request, 503, str(error))
            except TimeoutError:
                return self.error(request, 504, "the station's disk does not answer")

        return PageRoute(path, answer, methods=methods)

    def show(self, request: Request, template: str, *, code: int = 200, **values: Any) -> Response:
        """A page for who asks."""
        return self.renderer.page(request, template, self.viewer(request), code=code, **values)

    def viewer(self, request: Request) -> Viewer:
        """Who looks at the page."""
        bearer = self.door.session_of(request)
        if bearer is not None:
            return Viewer(bearer.name, bearer.scopes, logged_in=True)
        return Viewer(scopes=frozenset(Scope if self.door.open else ()))

    def error(self, request: Request, status: int, detail: str) -> Response:
        """A page that names what went wrong, for people."""
        known = status if status in (401, 403, 404, 503, 504) else 400
        return self.show(request, "error.html.j2", code=status, known=known, detail=detail)

    def to_login(self, request: Request) -> Response:
        """Lead to the login page, and back from there.

        Not by a redirect: a browser that followed a link of another site, as one in an e-mail or a
        message, leaves out the `SameSite=Strict` cookie until a page of ours leads on. The login
        page then finds the session and leads back at once.
        """
        url = request.url
        back = f"{url.path}?{url.query}" if url.query else url.path
        target = f"/login?{urlencode({'next': back})}"
        return self.show(request, "onward.html.j2", code=401, target=target)


def back_to(target: str) -> RedirectResponse:
    """Redirect to an address of this station's own, to the first page where it is another's."""
    own = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return RedirectResponse(target if own else "/", 303)
