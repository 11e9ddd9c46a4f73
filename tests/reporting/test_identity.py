"""The strip on top of a report: what it is about."""

from __future__ import annotations

from pipeline.reporting.identity import Fact, strip

SHA = "0123456789abcdef" * 4
FACTS = {"source": "elpv", "images": "2624: 1544 to train on"}


def of(version: int | None = None, **lineage: str) -> dict[str, Fact]:
    return {fact.name: fact for fact in strip("solar-cell", version, SHA, FACTS, lineage)}


def test_hashes_are_short_and_whole_where_one_points_at_them() -> None:
    found = of(git_commit=SHA)
    assert (found["Commit"].text, found["Commit"].whole) == ("0123456789ab", SHA)
    assert (found["Bundle"].text, found["Bundle"].whole) == ("0123456789ab", SHA)
    assert not found["Commit"].alarming


def test_a_commit_that_code_or_settings_differ_from_is_alarming() -> None:
    found = of(git_commit=f"{SHA}-dirty")["Commit"]
    assert found.alarming
    assert found.text == "0123456789ab, and code or settings differ from it"
    assert found.whole == SHA


def test_what_is_not_known_is_called_so() -> None:
    found = of()
    assert found["Commit"].alarming
    assert [found[name].text for name in ("Commit", "Evaluated")] == ["not known"] * 2


def test_a_version_is_named_once_it_is_registered() -> None:
    assert of()["Version"].text == "not registered yet"
    assert of(7)["Version"].text == "7"


def test_the_time_is_shown_to_the_minute_in_utc() -> None:
    found = of(evaluated="2026-11-28T11:57:03+00:00")
    assert found["Evaluated"].text == "2026-11-28 11:57 UTC"
