"""What every message for people goes through."""

from __future__ import annotations

import inspect
import re

import pytest

from pipeline import errors
from pipeline.errors import LinesideError, MissingExtra, choices, hidden, printable

TREE = re.compile(r"^ +(?:│ +)*[├└]── (\w+) ", re.MULTILINE)


def test_the_tree_in_the_docstring_shows_all_errors() -> None:
    classes = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, LinesideError)
    }
    assert {"LinesideError", *TREE.findall(errors.__doc__ or "")} == classes


def test_each_error_stands_below_its_parent_in_the_tree() -> None:
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := TREE.match(line + " "):
            depth = (line.index("─") - 5) // 4
            path[depth:] = [found[1]]
            parent = path[depth - 1] if depth else "LinesideError"
            assert getattr(errors, found[1]).__bases__ == (getattr(errors, parent),), found[1]


def test_the_nearest_spelling_comes_before_all_choices() -> None:
    assert choices("mqqt", ["mqtt", "jsonl"]) == 'did you mean "mqtt"? choose jsonl, mqtt'


def test_a_spelling_like_no_other_gets_the_choices_only() -> None:
    assert choices("kafka", ["mqtt", "jsonl"]) == "choose jsonl, mqtt"


def test_a_missing_package_comes_with_the_command_that_installs_it() -> None:
    assert str(MissingExtra("av", "source rtsp", "rtsp")) == (
        "source rtsp needs the package av, which is not installed; in your copy of Lineside run: "
        "pip install -c constraints.txt '.[rtsp]'"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://qc:s3cret@camera/line1 is away", "rtsp://***@camera/line1 is away"),
        ("http://token@a and mqtt://u:p@ss@b:1883", "http://***@a and mqtt://***@b:1883"),
        ("http://camera/mail@plant", "http://camera/mail@plant"),
        ("write to qa@plant.example", "write to qa@plant.example"),
        ("rtsp://qc:a/b?c@d@cam/x is away", "rtsp://***@cam/x is away"),
        ("http://h:80/hook?token=s3cret&x=1#s3cret, ok", "http://h:80/hook?token=***&x=*** ok"),
        ("'http://h/hook?s3cret' failed", "'http://h/hook?***' failed"),
        (
            "https://hooks.plant/services/T01/Xk29fja8sKq0vNw2mLp4 answers 404",
            "https://hooks.plant/services/T01/*** answers 404",
        ),
        ("rtsp://cam/user=admin_password=s3cret_channel=1", "rtsp://cam/***"),
        ("rtsp://cam/u=a_password=s_x", "rtsp://cam/u=a_password=***"),
        ("mssql dsn PWD=s3cret;DATABASE=x", "mssql dsn PWD=***;DATABASE=x"),
        (
            "sqlite:////data/0123456789abcdef0123/mlflow.db",
            "sqlite:////data/0123456789abcdef0123/mlflow.db",
        ),
        (
            "http://10.0.0.12:8711/records and https://plant/",
            "http://10.0.0.12:8711/records and https://plant/",
        ),
    ],
)
def test_what_may_be_a_secret_in_an_address_is_hidden(text: str, shown: str) -> None:
    assert hidden(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://plant/hook/s3cret?x=s3cret", "https://plant/..."),
        ("rtsp://u:s3cret@10.0.0.5:554/s3cret", "rtsp://***@10.0.0.5:554/..."),
        ("http://plant?s3cret", "http://plant/..."),
        ("http://plant", "http://plant"),
    ],
)
def test_of_a_setting_the_path_is_hidden_too(text: str, shown: str) -> None:
    assert hidden(text, paths=True) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Teil-7 é 部品.png", "Teil-7 é 部品.png"),
        ("\udcfc.png", "\\udcfc.png"),
        ("a\nb\t\x1b[31m\x7f.png", "a\\nb\\t\\x1b[31m\\x7f.png"),
        ("a\x9b31m\u2028b\u202egnp.exe", "a\\x9b31m\\u2028b\\u202egnp.exe"),
    ],
)
def test_a_name_is_printed_without_what_a_terminal_would_obey(name: str, shown: str) -> None:
    assert printable(name) == shown
    assert printable(name).encode("utf-8")
