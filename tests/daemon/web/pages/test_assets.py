"""Assets: public, kept by browsers, and under a new address with each change."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.daemon.web.pages.assets import FOLDER, Assets
from pipeline.daemon.web.tokens import Scope, Tokens
from tests.daemon.web.conftest import Serve
from tests.imports import ROOT

ELSEWHERE = re.compile(r"""(?:https?:)?//[\w-]+\.[\w.]+|@import|url\(|\bdata:""")


def test_an_asset_needs_no_token_and_may_be_kept(serve: Serve, tokens: Tokens) -> None:
    tokens.new("desk", [Scope.READ])
    served = serve(tokens=tokens.path)
    reply = served.ask("GET", Assets().address("pages.css"))
    assert (reply.status, reply.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert "immutable" in reply.headers["cache-control"]
    assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["/assets/0/pages.css", "/assets/{}/none.css", "/assets/{}/..%2fsite.py"]
)
def test_what_is_not_an_asset_is_not_served(serve: Serve, path: str) -> None:
    assert serve().ask("GET", path.format(Assets().digest)).status == 404


def test_a_changed_asset_changes_all_addresses(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("p {}")
    before = Assets(tmp_path).address("a.css")
    (tmp_path / "a.css").write_text("p { margin: 0 }")
    assert Assets(tmp_path).address("a.css") != before
    with pytest.raises(KeyError):
        Assets(tmp_path).address("b.css")


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda p: p.name)
def test_nothing_comes_from_elsewhere(path: Path) -> None:
    text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    if path.name == "uPlot.js":  # its comments name their sources
        text = re.sub(r"/\*[^*]*(?:\*[^/][^*]*)*\*/|//.*", "", text)
    assert ELSEWHERE.findall(text) == []


@pytest.mark.parametrize("path", sorted(FOLDER.parent.glob("templates/*")), ids=lambda p: p.name)
def test_no_template_has_scripts_or_styles_of_its_own(path: Path) -> None:
    html = path.read_text("utf-8")
    assert re.findall(r"<style|\bstyle=|\bon\w+=|javascript:|<script(?![^>]*\bsrc=)", html) == []
    assert ELSEWHERE.findall(html) == []
    assert "| safe" not in html


def test_assets_and_texts_are_part_of_the_installed_package() -> None:
    listed = (ROOT / "pyproject.toml").read_text()
    for folder in ("assets/*", "templates/*.j2", "texts/*.yaml"):
        assert f'"daemon/web/pages/{folder}"' in listed
