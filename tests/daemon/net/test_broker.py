"""Settings of an MQTT broker: what fits together, and what would give a password away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.daemon.net.broker import Broker
from pipeline.errors import ConfigError


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"user": "a", "password_env": "B"}, "in the clear"),
        ({"password_env": "B", "tls": True}, "needs a `user`"),
        ({"user": "a", "password_env": "B", "password_file": "c", "tls": True}, "not both"),
        ({"key_file": "a"}, "needs a `cert_file`"),
    ],
)
def test_settings_that_do_not_fit_each_other_are_refused(
    settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValidationError, match=reason):
        Broker.model_validate({"host": "broker.plant", **settings})


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_a_password_may_go_in_the_clear_to_this_machine(host: str) -> None:
    assert not Broker(host=host, user="a", password_env="B").encrypted


def test_the_port_follows_from_encryption() -> None:
    assert Broker(host="a").address == "a:1883"
    assert Broker(host="a", tls=True).address == "a:8883"
    assert Broker(host="a", ca_file=Path("ca.crt"), port=9).address == "a:9"


def test_a_file_that_holds_no_certificate_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("no certificate")
    with pytest.raises(ConfigError, match=r"ca\.crt cannot be used as certificate or key"):
        Broker(host="plc", ca_file=tmp_path / "ca.crt").context()
