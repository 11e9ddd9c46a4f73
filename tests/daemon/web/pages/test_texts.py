"""Every language has every text, and a browser gets the one that it asks for."""

from __future__ import annotations

import re

import pytest

from pipeline.daemon.web.pages.texts import FOLDER, chosen, read_texts
from tests.imports import ROOT

TEXTS = read_texts()
PAGES = ROOT / "pipeline/daemon/web/pages"
PLACE = re.compile(r"\{(\w+)\}")


@pytest.mark.parametrize("language", TEXTS)
def test_every_language_has_every_text(language: str) -> None:
    assert TEXTS[language].keys == TEXTS["en"].keys


@pytest.mark.parametrize("language", TEXTS)
def test_a_translation_has_the_places_of_the_original(language: str) -> None:
    places = {k: sorted(PLACE.findall(TEXTS[language](k))) for k in TEXTS["en"].keys}
    assert places == {k: sorted(PLACE.findall(TEXTS["en"](k))) for k in TEXTS["en"].keys}


def test_every_text_that_a_template_names_is_there() -> None:
    asked = set()
    for template in PAGES.glob("templates/*.j2"):
        asked |= set(re.findall(r"""\bt\('([\w.]+)'""", template.read_text("utf-8")))
    known = TEXTS["en"].keys
    assert [k for k in asked if k not in known and not k.endswith(".")] == []


def test_english_and_german_are_there_and_english_comes_first() -> None:
    assert list(TEXTS) == ["en", "de"]
    assert {p.stem for p in FOLDER.iterdir()} == set(TEXTS)


@pytest.mark.parametrize(
    ("wish", "asked", "language"),
    [
        ("", "", "en"),
        ("", "de-AT,de;q=0.9,en;q=0.5", "de"),
        ("", "fr, en;q=0.3, de;q=0.7", "de"),
        ("", "de;q=0", "en"),
        ("", "zh", "en"),
        ("en", "de", "en"),
        ("de", "en", "de"),
        ("xx", "de", "de"),
        ("", "de;q=nonsense, en", "en"),
        ("", "x," * 10_000 + "de", "en"),
    ],
)
def test_the_language_is_the_users_choice_or_the_browsers_first(
    wish: str, asked: str, language: str
) -> None:
    assert chosen(TEXTS, wish, asked).language == language


def test_a_text_has_its_places_filled_in() -> None:
    assert TEXTS["en"]("verdict.PASS") == "PASS"
    with pytest.raises(KeyError):
        TEXTS["en"]("no.such.text")
