"""The page Live shows what the station is doing now."""

from __future__ import annotations

from pipeline.daemon.web.pages.live import state_of
from tests.daemon.web.conftest import Serve
from tests.daemon.web.pages.conftest import page


def test_the_state_is_one_word(serve: Serve) -> None:
    served = serve()
    assert b'<p class="word">Inspecting</p>' in page(served, "/").body
    served.station.recorder.alarm = "ledger.sqlite: disk full"
    body = page(served, "/", accept_language="de").body.decode()
    assert '<p class="word">Prüft nicht</p>' in body
    assert "<li>ledger.sqlite: disk full</li>" in body


def test_a_degraded_station_names_why(serve: Serve) -> None:
    served = serve()
    status = served.station.status()
    assert state_of(status) == ("inspecting", ())
    for _ in range(10):
        served.ask("POST", "/inspect", b"\x89PNG and no more", content_type="image/png")
    word, why = state_of(served.station.status())
    assert word == "degraded"
    assert why[0].startswith("10 of the last 10 parts were not inspected")
