"""What a line file may set for its web service: closed to strangers, whatever it says."""

from __future__ import annotations

import socket

import pytest
from pydantic import ValidationError

from pipeline.daemon.settings.http import Http


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"host": "0.0.0.0"}, "name a file of `tokens`"),
        ({"host": "station.example"}, "name a file of `tokens`"),
        ({"host": "0.0.0.0", "tokens": "t"}, "give `tls_cert` and `tls_key`, or in `plain`"),
        ({"host": "::", "tokens": "t", "plain": "because"}, "at least 10 characters"),
        ({"host": "0.0.0.0", "open_on_loopback": True}, "for 127.0.0.1 only"),
        ({"tls_cert": "c"}, "belong together"),
    ],
)
def test_a_station_that_others_reach_must_be_closed_to_strangers(
    settings: dict[str, object], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        Http.model_validate(settings)


@pytest.mark.parametrize(
    ("settings", "at"),
    [
        ({}, "http://127.0.0.1:8711/records/"),
        ({"host": "::1"}, "http://[::1]:8711/records/"),
        ({"port": 0}, ""),
        ({"port": 0, "address": "https://west-1.plant/qa/"}, "https://west-1.plant/qa/records/"),
        (
            {"host": "0.0.0.0", "tokens": "t", "tls_cert": "c", "tls_key": "k"},
            f"https://{socket.gethostname()}:8711/records/",
        ),
    ],
)
def test_records_have_an_address_that_people_reach(settings: dict[str, object], at: str) -> None:
    assert Http.model_validate(settings).records_at == at


@pytest.mark.parametrize("address", ["west-1.plant", "ftp://west-1", "https://a b", "https://a?b"])
def test_an_address_that_no_browser_opens_is_refused(address: str) -> None:
    with pytest.raises(ValidationError):
        Http.model_validate({"address": address})


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"host": "::1"},
        {"host": "0.0.0.0", "tokens": "t", "tls_cert": "c", "tls_key": "k"},
        {"host": "10.0.0.7", "tokens": "t", "plain": "nginx on this machine adds TLS"},
    ],
)
def test_a_station_that_is_closed_to_strangers_may_listen(settings: dict[str, object]) -> None:
    assert Http.model_validate(settings).port == 8711
