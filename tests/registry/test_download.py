"""Every hash of a downloaded bundle is verified."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlparse

import pytest
from mlflow.tracking import MlflowClient

from pipeline.contracts.bundle import Bundle
from pipeline.errors import BundleError
from pipeline.registry.push import Registration
from pipeline.registry.store import Registry

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


def _stored(registry: Registry, name: str) -> Path:
    """Where the registry keeps a file of version 1."""
    source = MlflowClient(registry.uri, registry.uri).get_model_version_download_uri("cells", "1")
    return Path(urlparse(source).path) / "extra_files" / name
