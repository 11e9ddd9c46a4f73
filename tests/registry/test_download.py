"""A bundle is downloaded where there is room, and every hash is verified."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlparse

import pytest
from mlflow.tracking import MlflowClient

from pipeline.contracts.bundle import Bundle
from pipeline.errors import BundleError, NoRoom, RegistryError
from pipeline.registry.push import Registration
from pipeline.registry.store import Registry
from tests.daemon.disk import fill, small_disk

MB = 2**20
Register = Callable[[Registry, Bundle], Registration]


def test_altered_file_is_refused_by_name_and_nothing_is_left(
    two_versions: Registry, tmp_path: Path
) -> None:
    _stored(two_versions, "taxonomy.json").write_bytes(b"{}")
    with pytest.raises(BundleError, match=r"^cells/1 from .*: taxonomy\.json was altered"):
        two_versions.pull(two_versions.versions("cells")[0], tmp_path / "cache" / "1")
    assert list((tmp_path / "cache").iterdir()) == []


def test_bundle_swapped_with_its_manifest_is_refused(
    two_versions: Registry, seal_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    other = seal_bundle(tmp_path / "forged", fail_from=1.1)
    for path in other.folder.iterdir():
        _stored(two_versions, path.name).write_bytes(path.read_bytes())
    with pytest.raises(BundleError, match=r"manifest\.json was altered"):
        two_versions.pull(two_versions.versions("cells")[0], tmp_path / "cache" / "1")


@pytest.mark.slow
def test_a_bundle_larger_than_the_free_disk_is_refused_before_a_byte_is_written(
    two_versions: Registry, tmp_path: Path
) -> None:
    os.truncate(_stored(two_versions, "model.onnx"), 300 * MB)
    said = r"314\.6 MB and 1\.0 MB stay free .*make room"
    with small_disk(tmp_path / "small", 4 * MB) as disk:
        with pytest.raises(NoRoom, match=rf"disk of {disk}: .* {said}") as no_room:
            two_versions.pull(two_versions.versions("cells")[0], disk / "1", keep_free_bytes=MB)
        assert list(disk.iterdir()) == []
        assert shutil.disk_usage(disk).free < (no_room.value.needed_bytes or 0)


@pytest.mark.slow
def test_room_that_is_to_stay_free_is_not_taken(two_versions: Registry, tmp_path: Path) -> None:
    version = two_versions.versions("cells")[0]
    with small_disk(tmp_path / "small", 4 * MB) as disk:
        with pytest.raises(NoRoom):
            two_versions.pull(version, disk / "1", keep_free_bytes=4 * MB)
        two_versions.pull(version, disk / "1", keep_free_bytes=3 * MB)


@pytest.mark.slow
def test_a_disk_that_others_fill_on_the_way_is_reported_as_full_and_nothing_is_left(
    two_versions: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path / "small", 4 * MB) as disk:
        copy = shutil.copy2

        def beaten(source: str, to: str) -> str:
            if not (disk / "others.bin").exists():
                fill(disk / "others.bin")
            return copy(source, to)

        monkeypatch.setattr("shutil.copy2", beaten)
        with pytest.raises(NoRoom, match=r"filled by others while .* MB were") as no_room:
            two_versions.pull(two_versions.versions("cells")[0], disk / "1", keep_free_bytes=MB)
        assert no_room.value.needed_bytes is None
        assert [p.name for p in disk.iterdir()] == ["others.bin"]


@pytest.mark.slow
def test_a_download_does_not_count_on_the_room_of_another_one(
    two_versions: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two_versions.versions("cells")
    copy = shutil.copy2
    others: list[pytest.ExceptionInfo[NoRoom] | None] = []

    def meanwhile(source: str, to: str) -> str:
        if not others:
            others.append(None)
            with pytest.raises(NoRoom) as no_room:
                two_versions.pull(second, disk / "2", keep_free_bytes=spare)
            others[0] = no_room
        return copy(source, to)

    with small_disk(tmp_path / "small", MB) as disk:
        free = shutil.disk_usage(disk).free
        with pytest.raises(NoRoom) as too_much:
            two_versions.pull(second, disk / "2", keep_free_bytes=free)
        spare = 2 * free - (too_much.value.needed_bytes or 0) - 4 * 4096
        monkeypatch.setattr("shutil.copy2", meanwhile)
        two_versions.pull(first, disk / "1", keep_free_bytes=0)
        assert others[0] is not None
        assert others[0].match("MB are for another download")
        shutil.rmtree(disk / "1")
        two_versions.pull(second, disk / "2", keep_free_bytes=spare)


def test_nothing_is_written_outside_of_the_disk_it_is_for(
    two_versions: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "is not there"))
    two_versions.pull(two_versions.versions("cells")[0], tmp_path / "cache" / "1")
    assert not (tmp_path / "is not there").exists()


@pytest.mark.slow
def test_sizes_that_the_store_does_not_list_are_those_of_the_manifest(
    two_versions: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlflow.entities.FileInfo.file_size", None)
    version = two_versions.versions("cells")[0]
    sealed = json.loads(_stored(two_versions, "manifest.json").read_bytes())["files"]
    total = sum(entry["bytes"] for entry in sealed.values())
    _stored(two_versions, "model.onnx").write_bytes(b"")  # a server leaves out the size of these
    with pytest.raises(BundleError, match=r"model\.onnx was altered"):
        two_versions.pull(version, tmp_path / "cache" / "1")
    with small_disk(tmp_path / "small", MB) as disk, pytest.raises(NoRoom) as no_room:
        two_versions.pull(version, disk / "1", keep_free_bytes=MB)
    assert total <= (no_room.value.needed_bytes or 0) - MB < total + 20 * 4096


def test_files_in_a_folder_of_another_machine_are_named_with_cause_and_remedy(
    two_versions: Registry, tmp_path: Path
) -> None:
    (tmp_path / "mlruns").rename(tmp_path / "on another machine")
    said = r"files lie in .*mlruns.* no such folder: .*docs/review\.md"
    with pytest.raises(RegistryError, match=said):
        two_versions.pull(two_versions.versions("cells")[0], tmp_path / "cache" / "1")


def _stored(registry: Registry, name: str) -> Path:
    """Where the registry keeps a file of version 1."""
    source = MlflowClient(registry.uri, registry.uri).get_model_version_download_uri("cells", "1")
    return Path(urlparse(source).path) / "extra_files" / name
