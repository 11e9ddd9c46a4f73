"""The evaluation record: what people read of it."""

from __future__ import annotations

import pytest

from pipeline.contracts.evaluation import Check


@pytest.mark.parametrize(("name", "title"), [("supported", "proven"), ("leak", "leak")])
def test_a_check_is_shown_by_the_word_of_the_glossary(name: str, title: str) -> None:
    assert Check(name=name, passed=True, sentence="found").title == title
