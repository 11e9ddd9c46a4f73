"""The evaluation.json of a version: the local file and the one of its run."""

from __future__ import annotations

from pathlib import Path

from pipeline.registry.evidence import FOLDER, Evidence, read_evaluation
from pipeline.registry.store import Registry
from tests.judgements import run_file


def test_only_the_file_that_goes_to_its_place_is_the_evaluation(tmp_path: Path) -> None:
    file = tmp_path / "evaluation.json"
    assert Evidence(artifacts=((file, FOLDER),)).evaluation_file == file
    assert Evidence(artifacts=((file, "ingest"),)).evaluation_file is None


def test_a_runs_evaluation_is_read_byte_for_byte(two_versions: Registry) -> None:
    run_id = two_versions.version("cells", 1).run_id
    stored = run_file(two_versions, 1, "evaluate/evaluation.json").read_bytes()
    assert read_evaluation(two_versions.client, two_versions.uri, run_id) == stored


def test_a_run_that_is_gone_or_holds_none_has_no_evaluation(two_versions: Registry) -> None:
    run_file(two_versions, 1, "evaluate/evaluation.json").unlink()
    for run_id in (two_versions.version("cells", 1).run_id, "f" * 32, ""):
        assert read_evaluation(two_versions.client, two_versions.uri, run_id) is None
