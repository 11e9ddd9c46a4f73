"""Access control: tokens, sessions of browsers, and requests that other sites cause in one."""

from __future__ import annotations

import asyncio
import logging
import math
from datetime import timedelta
from urllib.parse import urlsplit

from fastapi import HTTPException, Request, Response
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Asked

from pipeline.daemon.settings.http import Http
from pipeline.daemon.web.sessions import Sessions
from pipeline.daemon.web.tokens import Scope, Token, Tokens

# What is not one of the station's own pages, which have headers of theirs, could load nothing, be
# framed by nobody, and is kept by no cache.
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

READING = ("/status", "/records", "/api/")
SMALL = "/picture"  # a page asks for many of these at once; each is a few kilobytes from memory
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
    """Checks who asks: a program by its token, a browser by the cookie of its session.

    Attributes:
        cookie: its name, which is the station's own: ports of one host share their cookies.
        sessions: of browsers; None where there are no tokens to log in with.
        open: may every program on this machine do everything, without a token?
    """

    def __init__(self, settings: Http, station: str) -> None:
        self.open = settings.open_on_loopback
        self.cookie = f"lineside-{station}"
        self._secure = settings.scheme == "https"
        if self._secure:  # browsers take this name only from this host, encrypted
            self.cookie = f"__Host-{self.cookie}"
        self._tokens = None if settings.tokens is None else Tokens(settings.tokens)
        self.sessions = None
        if self._tokens is not None:
            file = self._tokens.path
            self.sessions = Sessions(self._tokens, file.with_name(f"{file.name}.sessions"))
        self._refusals = RefusalLog()

    async def read(self, request: Request) -> None:
        """Allow requests that may see records and frames."""
        self.ask(request, Scope.READ)

    async def judge(self, request: Request) -> None:
        """Allow requests that may review parts."""
        self.ask(request, Scope.JUDGE)

    async def act(self, request: Request) -> None:
        """Allow requests that may trigger."""
        self.ask(request, Scope.ACT)

    def ask(self, request: Request, scope: Scope) -> None:
        """Raise HTTPException 401 or 403 where the request is not allowed.

        What is allowed has the token's name in `request.state.token`, "" without a token.
        """
        request.state.token = ""
        secret, session = _token_of(request), self.session_of(request)
        if not secret and session is None and self.open:
            return
        if self._tokens is None:
            raise HTTPException(
                401,
                "this station has no tokens, so nobody may do this; name a file as http.tokens in "
                "the line file and run: lineside token new",
            )
        bearer = self._tokens.bearer(secret) if secret else session
        if bearer is None:
            self.note(request, "no valid token")
            raise HTTPException(
                401,
                "a valid token is needed: Authorization: Bearer ...",
                {"www-authenticate": "Bearer"},
            )
        if scope not in bearer.scopes:
            self.note(request, f"token {bearer.name} has no scope {scope}")
            raise HTTPException(
                403,
                f'token "{bearer.name}" has scope {", ".join(sorted(bearer.scopes))}; this needs '
                f"{scope}",
            )
        if not secret and request.method not in ("GET", "HEAD"):
            self.require_own_page(request)
        request.state.token = bearer.name

    def session_of(self, request: Request) -> Token | None:
        """The token that a browser has logged in with; None where it has not, or no longer."""
        secret = request.cookies.get(self.cookie, "")
        return self.sessions.bearer(secret) if self.sessions is not None and secret else None

    def require_own_page(self, request: Request) -> None:
        """Raise HTTPException 403 where a page of this station did not send the request.

        A browser sends its cookies with what other pages make it send, too, but names their site;
        `CrossSiteCheck` has compared that with ours. `SameSite=Strict` is the other lock.
        """
        site = request.headers.get("sec-fetch-site")
        if "origin" not in request.headers and site != "same-origin":
            raise HTTPException(403, "with a session only this station's own pages may do this")

    def remember(self, response: Response, secret: str, lasts: timedelta) -> None:
        """Have the browser send a session's secret from now on."""
        seconds = int(lasts.total_seconds())
        response.set_cookie(
            *(self.cookie, secret, seconds),
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="strict",
        )

    def forget(self, response: Response) -> None:
        """Have the browser forget its session."""
        self.remember(response, "", timedelta())

    def note(self, request: Request, why: str) -> None:
        """Log a request that was refused."""
        who = "" if request.client is None else request.client.host
        self._refusals.note("%s at %s was refused: %s", who, request.url.path[:100], why)


def _token_of(request: Request) -> str:
    """The token in a request's header, "" without one; what has another scheme opens nothing."""
    given = request.headers.get("authorization", "")
    scheme, _, secret = given.partition(" ")
    return secret.strip() if not secret or scheme.lower() == "bearer" else given


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
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
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
        path = scope["path"]
        if not path.startswith(READING) or path.endswith(SMALL):
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
