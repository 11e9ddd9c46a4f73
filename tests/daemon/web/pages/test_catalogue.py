"""Every page is in the navigation; a station without Jinja2 serves programs and names the extra."""

from __future__ import annotations

import sys

import pytest

from tests.daemon.web.conftest import Serve
from tests.daemon.web.pages.conftest import page


def test_what_is_nowhere_is_a_page_for_people_and_json_for_programs(serve: Serve) -> None:
    served = serve()
    found, json = page(served, "/nowhere"), served.ask("GET", "/nowhere")
    assert (found.status, b"Not found" in found.body) == (404, True)
    assert (json.status, json.detail) == (404, "Not Found")


def test_every_page_of_the_navigation_opens(serve: Serve) -> None:
    from pipeline.daemon.web.pages.catalogue import ENTRIES

    served = serve()
    assert [page(served, entry.path).status for entry in ENTRIES] == [200] * len(ENTRIES)


def test_without_the_extra_a_browser_reads_what_to_install(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    for name in [m for m in sys.modules if m.startswith("pipeline.daemon.web.pages.")]:
        monkeypatch.delitem(sys.modules, name)
    served = serve()
    reply = page(served, "/")
    assert (reply.status, b"'.[pages]'" in reply.body) == (501, True)
    assert served.ask("GET", "/status").status == 200
    assert served.send().json["verdict"] == "PASS"
