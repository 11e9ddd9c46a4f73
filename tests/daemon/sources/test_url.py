"""The URL of a network camera, and where its password shows up and where not."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.config import load
from pipeline.daemon.settings.line import Line
from pipeline.daemon.sources.rtsp import Config
from pipeline.errors import ConfigError


def config(**settings: object) -> Config:
    url = "rtsp://127.0.0.1:554/line1"
    return Config.model_validate({"type": "rtsp", "url": url} | settings)


def test_a_password_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMERA_PASSWORD", "p@ss/word")
    asked = config(user="qc", password_env="CAMERA_PASSWORD").camera_url()
    assert asked.full == "rtsp://qc:p%40ss%2Fword@127.0.0.1:554/line1"
    assert (asked.user, asked.password) == ("qc", "p@ss/word")


def test_a_password_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret\n")
    asked = config(user="qc", password_file=tmp_path / "password").camera_url()
    assert asked.full == "rtsp://qc:s3cret@127.0.0.1:554/line1"


def test_a_password_in_the_url_is_not_in_what_is_shown() -> None:
    asked = config(url="rtsp://qc:p%40ss@10.0.0.7/line1?key=s3cret").camera_url()
    assert asked.shown == "rtsp://10.0.0.7/line1"
    assert asked.bare == "rtsp://10.0.0.7/line1?key=s3cret"
    assert asked.full == "rtsp://qc:p%40ss@10.0.0.7/line1?key=s3cret"
    assert (asked.user, asked.password) == ("qc", "p@ss")


def test_settings_and_url_print_without_the_password() -> None:
    settings = config(url="rtsp://qc:s3cret@10.0.0.7/line1?key=s3cret")
    assert "s3cret" not in f"{settings!r} {settings} {settings.camera_url()!r}"


def test_a_camera_without_a_password_is_asked_without_one() -> None:
    asked = config().camera_url()
    assert asked.full == asked.bare == asked.shown == "rtsp://127.0.0.1:554/line1"


def test_a_missing_password_is_named_with_its_camera() -> None:
    with pytest.raises(
        ConfigError, match=r"password for rtsp://127\.0\.0\.1:554/line1: .* NOT_SET_HERE is not set"
    ):
        config(user="qc", password_env="NOT_SET_HERE").camera_url()


@pytest.mark.parametrize("url", ["http://camera/", "rtsp://", "camera", "rtsp://camera:x/"])
def test_a_url_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="`url` is not of the form rtsp://host:port/path"):
        config(url=url)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"user": "qc", "password_env": "A", "password_file": "b"}, "not both"),
        ({"password_env": "A"}, "a password needs a `user`"),
    ],
)
def test_credentials_that_do_not_fit_each_other_are_refused(
    settings: dict[str, str], reason: str
) -> None:
    with pytest.raises(ValidationError, match=reason):
        config(**settings)


def test_the_line_files_error_does_not_repeat_the_password(tmp_path: Path) -> None:
    path = tmp_path / "line.yaml"
    path.write_text(
        "station: west-1\nrecipe: cells\nmodel:\n  cache: models\nledger: ledger.sqlite\n"
        "source:\n  type: rtsp\n  url: http://qc:s3cret@camera/\n"
    )
    with pytest.raises(ConfigError, match="`url` is not of the form rtsp://") as error:
        load(path, Line)
    assert "s3cret" not in str(error.value)
