"""Only browsers get pages, and what goes wrong is a page that names it."""

from __future__ import annotations

import pytest
from fastapi.responses import RedirectResponse

from pipeline.daemon.web.pages.site import back_to
from pipeline.daemon.web.tokens import Tokens
from tests.daemon.web.conftest import Serve
from tests.daemon.web.pages.conftest import logged_in, page


def test_a_program_gets_no_page(serve: Serve) -> None:
    served = serve()
    assert served.ask("GET", "/").status == 404
    assert served.ask("GET", "/", accept="application/json").status == 404
    assert page(served, "/").headers["content-type"] == "text/html; charset=utf-8"


def test_who_is_not_logged_in_is_led_to_the_login_page_and_back(
    serve: Serve, tokens: Tokens, reader: str
) -> None:
    served = serve(tokens=tokens.path)
    reply = page(served, "/?a=1")
    assert reply.status == 401
    assert b'content="0; url=/login?next=%2F%3Fa%3D1"' in reply.body


def test_a_token_without_the_scope_gets_a_page_that_names_it(
    serve: Serve, tokens: Tokens, actor: str
) -> None:
    served = serve(tokens=tokens.path)
    reply = page(served, "/", cookie=logged_in(served, actor))
    assert reply.status == 403
    assert b"has scope act; this needs read" in reply.body.replace(b"&#34;", b'"')


@pytest.mark.parametrize(
    ("target", "leads"),
    [
        ("/records?verdict=FAIL", "/records?verdict=FAIL"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("", "/"),
        ("/\r\nset-cookie: a", "/"),
    ],
)
def test_a_login_leads_to_the_stations_own_pages_only(target: str, leads: str) -> None:
    found: RedirectResponse = back_to(target)
    assert found.headers["location"] == leads
