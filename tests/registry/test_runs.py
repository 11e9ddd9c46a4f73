"""Experiments, runs and the settings that they carry."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import RegistryError
from pipeline.registry import runs
from pipeline.registry.connection import connect
from pipeline.registry.store import Registry


def test_settings_are_flat_and_only_of_the_stages_asked_for(tmp_path: Path) -> None:
    (tmp_path / "train.yaml").write_text("head:\n  l2: 0.1\nseed: 0\n")
    (tmp_path / "register.yaml").write_text("tags: {}\n")
    assert runs.settings(tmp_path, ("train",)) == {"train.head.l2": "0.1", "train.seed": "0"}


def test_a_recipe_has_one_experiment(registry: Registry) -> None:
    client = connect(registry.uri)
    first = runs.experiment(client, registry.uri, "cells")
    assert runs.experiment(client, registry.uri, "cells") == first


def test_a_deleted_experiment_names_the_command_that_restores_it(registry: Registry) -> None:
    client = connect(registry.uri)
    home = runs.experiment(client, registry.uri, "cells")
    client.delete_experiment(home)
    with pytest.raises(RegistryError, match=f"restore --experiment-id {home}"):
        runs.experiment(client, registry.uri, "cells")


def test_runs_are_found_by_all_of_their_tags_and_keep_their_first_params(
    registry: Registry,
) -> None:
    client = connect(registry.uri)
    home = runs.experiment(client, registry.uri, "cells")
    made = client.create_run(home, tags={"a": "1", "b": "2"})
    client.create_run(home, tags={"a": "1"})
    client.log_param(made.info.run_id, "seed", "0")
    (run,) = runs.tagged(client, home, a="1", b="2")
    assert run.info.run_id == made.info.run_id
    assert runs.new_params(run, {"seed": "1", "l2": "0.1"}) == {"l2": "0.1"}
