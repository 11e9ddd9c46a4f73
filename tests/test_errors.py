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
    ],
)
def test_user_and_password_of_an_address_are_hidden(text: str, shown: str) -> None:
    assert hidden(text) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Teil-7 é 部品.png", "Teil-7 é 部品.png"),
        ("\udcfc.png", "\\udcfc.png"),
        ("a\nb\t\x1b[31m\x7f.png", "a\\nb\\t\\x1b[31m\\x7f.png"),
    ],
)
def test_a_name_is_printed_without_what_a_terminal_would_obey(name: str, shown: str) -> None:
    assert printable(name) == shown
    assert printable(name).encode("utf-8")
