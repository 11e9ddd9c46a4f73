"""What the README points at exists."""

from __future__ import annotations

import re

import pytest

from tests.imports import ROOT

README = (ROOT / "README.md").read_text("utf-8")
TARGETS = sorted(set(re.findall(r"\]\(([^)#:]+)\)", README)))
MAKE = sorted(set(re.findall(r"`?make ([a-z-]+)", README)))


@pytest.mark.parametrize("target", TARGETS)
def test_every_link_and_picture_is_there(target: str) -> None:
    assert (ROOT / target).is_file()


@pytest.mark.parametrize("target", MAKE)
def test_every_make_target_is_there(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_readme_shows_a_picture_of_the_report() -> None:
    assert "docs/overview.png" in TARGETS
