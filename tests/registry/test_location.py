"""Which machines can fetch from where a version's files lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import RegistryError
from pipeline.registry.location import folder_of, out_of_reach_elsewhere, require_within_reach

SERVED = ["mlflow-artifacts:/1/models/m-2/artifacts", "s3://plant/models", "http://m.plant/x"]


@pytest.mark.parametrize("source", SERVED)
def test_what_a_server_or_an_object_store_holds_is_in_reach_of_all(source: str) -> None:
    require_within_reach("http://mlflow.plant", source)
    assert folder_of(source) is None
    assert out_of_reach_elsewhere(source) == ""


@pytest.mark.parametrize("source", ["file:///srv/ml%20runs/1", "/srv/ml runs/1"])
def test_a_folder_is_one_machines_own(source: str) -> None:
    assert folder_of(source) == Path("/srv/ml runs/1")
    assert "stations on other machines cannot fetch them" in out_of_reach_elsewhere(source)
    with pytest.raises(RegistryError, match=r"lie in /srv/ml runs/1, .* this machine has no such"):
        require_within_reach("http://mlflow.plant", source)


def test_a_folder_that_is_there_is_in_reach(tmp_path: Path) -> None:
    require_within_reach("http://mlflow.plant", tmp_path.as_uri())
