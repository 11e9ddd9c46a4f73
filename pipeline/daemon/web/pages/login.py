"""The login page, which turns a token into a session; log out, and the choice of a language."""

from __future__ import annotations

from functools import partial
from urllib.parse import parse_qs

from fastapi import HTTPException, Request, Response
from starlette.routing import BaseRoute

from pipeline.daemon.web.pages.renderer import LANGUAGE_COOKIE
from pipeline.daemon.web.pages.site import Site, back_to
from pipeline.daemon.web.records import aside

MOST_BYTES = 4096  # of a form with a token and an address
A_YEAR_S = 365 * 24 * 3600


def routes(site: Site) -> list[BaseRoute]:
    """Their routes."""
    login = Login(site)
    return [
        site.page("/login", login.ask, scope=None),
        site.page("/login", login.begin, scope=None, methods=("POST",)),
        site.page("/logout", login.end, scope=None, methods=("POST",)),
        site.page("/language", login.language, scope=None),
    ]


class Login:
    """Begins and ends sessions."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def ask(self, request: Request) -> Response:
        """The form; who is logged in already is led on."""
        target = request.query_params.get("next", "/")
        door = self._site.door
        if door.session_of(request) is not None or (door.open and door.sessions is None):
            return back_to(target)
        return self._form(request, target)

    async def begin(self, request: Request) -> Response:
        """Begin a session with the token in the form."""
        door = self._site.door
        door.require_own_page(request)
        form = await form_of(request)
        target = form.get("next", "/")
        if door.sessions is None:
            return self._form(request, target)
        begun = await aside(partial(door.sessions.begin, form.get("token", "").strip()))
        if begun is None:
            door.note(request, "no valid token")
            return self._form(request, target, refused=True)
        response = back_to(target)
        door.remember(response, *begun)
        return response

    async def end(self, request: Request) -> Response:
        """End the session."""
        door = self._site.door
        door.require_own_page(request)
        if door.sessions is not None:
            await aside(partial(door.sessions.end, request.cookies.get(door.cookie, "")))
        response = back_to("/login")
        door.forget(response)
        return response

    async def language(self, request: Request) -> Response:
        """Remember a choice of language; it opens nothing, so a link may make it."""
        response = back_to(request.query_params.get("next", "/"))
        wish = request.query_params.get("to", "")
        if wish in self._site.renderer.texts:
            response.set_cookie(LANGUAGE_COOKIE, wish, A_YEAR_S, samesite="lax", httponly=True)
        return response

    def _form(self, request: Request, target: str, *, refused: bool = False) -> Response:
        return self._site.show(
            request,
            "login.html.j2",
            code=401 if refused else 200,
            target=target,
            refused=refused,
            possible=self._site.door.sessions is not None,
        )


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a small form; raises HTTPException 413 for a large one, 415 for no form."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(415, f'a form is not "{kind[:100]}"')
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MOST_BYTES:
            raise HTTPException(413, "the form is too large", {"connection": "close"})
    try:
        fields = parse_qs(data.decode("ascii", "replace"), max_num_fields=20)
    except ValueError:
        raise HTTPException(422, "the form cannot be read") from None
    return {name: values[-1] for name, values in fields.items()}
