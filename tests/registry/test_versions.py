"""Names and numbers of versions, and the commands about them."""

from __future__ import annotations

import shlex

import pytest

from pipeline.errors import RegistryError
from pipeline.registry.versions import (
    Version,
    find_version,
    iso_time,
    promote_command,
    recipe_filter,
    rollback_command,
)

TWO = [Version("cells", 1, "ab", "run"), Version("cells", 2, "cd", "run", ("challenger",))]


@pytest.mark.parametrize("wanted", [2, "2", "challenger"])
def test_a_version_is_found_by_number_or_alias(wanted: int | str) -> None:
    assert find_version(TWO, "cells", wanted, "here") == TWO[1]


@pytest.mark.parametrize(("wanted", "what"), [(7, "version 7"), ("best", 'alias "best"')])
def test_a_version_that_is_not_there_names_those_that_are(wanted: int | str, what: str) -> None:
    with pytest.raises(RegistryError, match=rf"{what} at here; versions there: 1, 2"):
        find_version(TWO, "cells", wanted, "here")


@pytest.mark.parametrize("recipe", ["", " ", "a'b", "a/b", "a:b", "a\nb"])
def test_a_name_that_no_registered_model_can_bear_is_refused(recipe: str) -> None:
    with pytest.raises(RegistryError, match="cannot name a registered model"):
        recipe_filter(recipe)


@pytest.mark.parametrize(
    ("status", "by"), [("approved", "A. Weber"), ("rejected", ""), ("withdrawn", ""), ("", "")]
)
def test_only_who_approved_a_version_has_signed_it(status: str, by: str) -> None:
    tags = {"review.by": "A. Weber", "review.status": status}
    assert Version("cells", 1, "", "", tags=tags).signed_by == by


def test_a_version_without_a_tag_of_the_gate_has_an_unknown_result() -> None:
    results = [Version("cells", 1, "", "", tags=t).gate for t in ({"gate": "passed"}, {})]
    assert results == ["passed", "unknown"]


def test_commands_can_be_pasted_whatever_the_recipe_is_called() -> None:
    for command in (promote_command("solar cell", 1), rollback_command("solar cell")):
        assert shlex.split(command)[3] == "solar cell"


def test_a_time_that_mlflow_does_not_know_is_empty() -> None:
    assert (iso_time(None), iso_time(1000)) == ("", "1970-01-01T00:00:01+00:00")
