"""Fills the templates of the pages, in the language of who looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.daemon.web.pages.assets import Assets
from pipeline.daemon.web.pages.texts import Texts, chosen, read_texts
from pipeline.daemon.web.tokens import Scope

FOLDER = Path(__file__).parent / "templates"
LANGUAGE_COOKIE = "lineside-language"
# Nothing inline, nothing from elsewhere, and no text may become markup in a script.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


@dataclass(frozen=True)
class Entry:
    """A page in the navigation.

    Attributes:
        path: its address.
        key: of its title among the texts.
        scope: what a token needs to open it.
    """

    path: str
    key: str
    scope: Scope


@dataclass(frozen=True)
class Viewer:
    """Who looks at a page.

    Attributes:
        name: of the token, "" without one.
        scopes: what it opens.
        logged_in: by a session, which can be ended?
    """

    name: str = ""
    scopes: frozenset[Scope] = frozenset()
    logged_in: bool = False


class Renderer:
    """Renders pages of one station."""

    def __init__(self, station: str, entries: Sequence[Entry], assets: Assets) -> None:
        self.texts = read_texts()
        self._entries = entries
        self._environment = Environment(
            loader=FileSystemLoader(FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(
            station=station, asset=assets.address, languages=list(self.texts.values())
        )
        self._environment.filters["query"] = query

    def texts_for(self, request: Request) -> Texts:
        """The language that the browser's user has chosen, or the first one that it asks for."""
        wish = request.cookies.get(LANGUAGE_COOKIE, "")
        return chosen(self.texts, wish, request.headers.get("accept-language", ""))

    def page(
        self,
        request: Request,
        template: str,
        viewer: Viewer,
        *,
        code: int = 200,
        **values: Any,
    ) -> HTMLResponse:
        """A whole page; every value is escaped."""
        texts = self.texts_for(request)
        url = request.url
        html = self._environment.get_template(template).render(
            t=texts,
            lang=texts.language,
            viewer=viewer,
            path=url.path,
            here=f"{url.path}?{url.query}" if url.query else url.path,
            entries=[e for e in self._entries if e.scope in viewer.scopes],
            **values,
        )
        headers = {
            "content-security-policy": POLICY,
            "referrer-policy": "same-origin",  # without one a form's origin would be "null"
            "vary": "accept, accept-language, cookie",
        }
        return HTMLResponse(html.encode("utf-8", "replace"), code, headers)


def query(values: Mapping[str, str]) -> str:
    """`?a=1&b=2` of what is not empty; "" of nothing."""
    there = {k: v for k, v in values.items() if v}
    return f"?{urlencode(there)}" if there else ""
