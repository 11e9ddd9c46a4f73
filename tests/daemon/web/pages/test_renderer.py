"""Pages are escaped, have a strict policy, and the navigation shows what a token opens."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.daemon.web.pages.renderer import POLICY, query
from pipeline.daemon.web.tokens import Tokens
from tests.daemon.web.conftest import Serve
from tests.daemon.web.pages.conftest import logged_in, page


def test_a_page_has_a_policy_that_allows_nothing_inline_or_from_elsewhere(serve: Serve) -> None:
    headers = page(serve(), "/").headers
    assert headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert "http" not in POLICY
    assert (headers["cache-control"], headers["referrer-policy"]) == ("no-store", "same-origin")


def test_what_comes_from_outside_is_escaped(serve: Serve) -> None:
    reply = page(serve(), "/%3Cscript%3Ealert(1)%3C%2Fscript%3E?a='%22%3E")
    assert reply.status == 404
    assert b"<script>alert" not in reply.body
    assert b"&lt;script&gt;alert(1)" in reply.body


@pytest.mark.parametrize(
    ("headers", "language"),
    [
        ({}, "en"),
        ({"accept_language": "de-DE"}, "de"),
        ({"accept_language": "de-DE", "cookie": "lineside-language=en"}, "en"),
    ],
)
def test_a_page_is_in_the_language_of_who_looks(
    serve: Serve, headers: dict[str, str], language: str
) -> None:
    assert f'<html lang="{language}">'.encode() in page(serve(), "/", **headers).body


def test_the_navigation_shows_only_what_the_token_opens(
    serve: Serve, tokens: Tokens, reader: str, actor: str
) -> None:
    served = serve(tokens=tokens.path)
    looks = page(served, "/", cookie=logged_in(served, reader))
    acts = page(served, "/", cookie=logged_in(served, actor))
    assert (looks.status, b"<nav" in looks.body) == (200, True)
    assert (acts.status, b"<nav" in acts.body) == (403, False)


def test_an_address_gets_only_what_is_not_empty() -> None:
    assert query({"a": "1 2", "b": "", "c": "ü&"}) == "?a=1+2&c=%C3%BC%26"
    assert query({}) == ""


def test_every_template_is_a_page_that_extends_the_base(tmp_path: Path) -> None:
    from pipeline.daemon.web.pages.renderer import FOLDER

    for template in FOLDER.glob("*.html.j2"):
        first = template.read_text("utf-8").splitlines()[0]
        own = template.name == "base.html.j2" or template.name.startswith("_")
        assert own or first == '{% extends "base.html.j2" %}', template.name
