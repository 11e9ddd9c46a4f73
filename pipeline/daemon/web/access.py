"""Access control of the web service: tokens, and requests that other sites cause in a browser."""

from __future__ import annotations

import asyncio
import logging
import math
from urllib.parse import urlsplit

from fastapi import HTTPException, Request
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Asked

from pipeline.daemon.settings.http import Http
from pipeline.daemon.web.tokens import Scope, Tokens

# A station shows no page that could load anything, be framed, or be kept by a cache.
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

READING = ("/status", "/records")
READERS = 16  # at once; frames are large, and some networks slow
AGAIN = {"retry-after": "1"}
REFUSALS_SHOWN, REFUSALS_PERIOD_S = 10, 60.0  # lines of the log that strangers can cause

log = logging.getLogger(__name__)


class RefusalLog:
    """Logs the first refused requests of each period, and the number of the others at its end."""

    def __init__(self) -> None:
        self._since_s = -math.inf
        self._shown = self._left_out = 0

    def note(self, message: str, *args: object) -> None:
        """One more was refused; called in the event loop."""
        loop = asyncio.get_running_loop()
        self._report()
        if loop.time() - self._since_s >= REFUSALS_PERIOD_S:
            self._since_s, self._shown = loop.time(), 0
        if self._shown < REFUSALS_SHOWN:
            self._shown += 1
            log.warning(message, *args)
        else:
            self._left_out += 1
            if self._left_out == 1:
                loop.call_at(self._since_s + REFUSALS_PERIOD_S, self._report)

    def _report(self) -> None:
        over = asyncio.get_running_loop().time() - self._since_s >= REFUSALS_PERIOD_S - 0.01
        if over and self._left_out:
            log.warning(
                "%d further requests were refused within %g s", self._left_out, REFUSALS_PERIOD_S
            )
            self._left_out = 0


class TokenCheck:
    """Checks the token of a request."""

    def __init__(self, settings: Http) -> None:
        self._settings = settings
        self._tokens = None if settings.tokens is None else Tokens(settings.tokens)
        self._refusals = RefusalLog()

    async def read(self, request: Request) -> None:
        """Allow requests that may see records and frames."""
        self._ask(request, Scope.READ)

    async def act(self, request: Request) -> None:
        """Allow requests that may trigger."""
        self._ask(request, Scope.ACT)

    def _ask(self, request: Request, scope: Scope) -> None:
        """Raise HTTPException 401 or 403 where the request is not allowed.

        What is allowed has the token's name in `request.state.token`, "" without a token.
        """
        request.state.token = ""
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if not secret and self._settings.open_on_loopback:
            return
        if self._tokens is None:
            raise HTTPException(
                401,
                "this station has no tokens, so nobody may do this; name a file as http.tokens in "
                "the line file and run: lineside token new",
            )
        bearer = self._tokens.bearer(secret.strip()) if scheme.lower() == "bearer" else None
        who = "" if request.client is None else request.client.host
        if bearer is None:
            where = request.url.path[:100]
            self._refusals.note("%s at %s was refused: no valid token", who, where)
            raise HTTPException(
                401,
                "a valid token is needed: Authorization: Bearer ...",
                {"www-authenticate": "Bearer"},
            )
        if scope not in bearer.scopes:
            self._refusals.note("%s (%s) was refused: no scope %s", who, bearer.name, scope)
            raise HTTPException(
                403,
                f'token "{bearer.name}" has scope {", ".join(sorted(bearer.scopes))}; this needs '
                f"{scope}",
            )
        request.state.token = bearer.name


class CrossSiteCheck:
    """Middleware of the whole service: refuses what a browser was tricked into sending.

    On loopback the address itself is a key, and every site that the user of this machine visits
    could turn it: by a request of its own page (`Origin`, `Sec-Fetch-Site`), or under a name of
    its own that suddenly means 127.0.0.1 (DNS rebinding; the name stands in `Host`).
    """

    def __init__(self, app: ASGIApp, settings: Http) -> None:
        self._app = app
        self._settings = settings
        self._names = {"localhost", "127.0.0.1", "::1", settings.host, *settings.hosts}

    async def __call__(self, scope: Asked, receive: Receive, send: Send) -> None:
        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        if scope["type"] != "http":  # nothing else is offered
            return
        why = self._refusal(scope["method"], Headers(scope=scope))
        app = self._app if why is None else JSONResponse({"detail": why}, 403)
        await app(scope, receive, dressed)

    def _refusal(self, method: str, headers: Headers) -> str | None:
        host = headers.get("host", "")
        name = _name(f"//{host}")
        if self._settings.loopback and name not in self._names:
            return (
                f'this station is not called "{name}"; name it under http.hosts in the line file '
                "if it is"
            )
        origin = headers.get("origin")
        if origin is not None and origin != f"{self._settings.scheme}://{host}":
            return f"pages of {origin[:100]} may not use this station"
        site = headers.get("sec-fetch-site", "none")
        followed = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if site not in ("none", "same-origin") and not followed:
            return "pages of other sites may not use this station"
        return None


class ConcurrencyLimit:
    """Limits the number of reading requests at once; further ones get HTTP 503.

    Health and figures are open to everyone, and requests for a verdict are counted in `app`:
    neither has to wait for those who read.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._reading = 0

    async def __call__(self, scope: Asked, receive: Receive, send: Send) -> None:
        if not scope["path"].startswith(READING):
            await self._app(scope, receive, send)
            return
        if self._reading >= READERS:
            why = f"{self._reading} read records and frames already; try again"
            await JSONResponse({"detail": why}, 503, AGAIN)(scope, receive, send)
            return
        self._reading += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._reading -= 1


def _name(address: str) -> str:
    """The host's name or number of an address, "" where it has none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
