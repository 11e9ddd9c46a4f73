"""Versions and download, against a real MLflow database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from pipeline.contracts.bundle import Bundle, open_bundle, seal
from pipeline.contracts.records import Verdict
from pipeline.contracts.spec import FlatField, reference_file
from pipeline.errors import RegistryError
from pipeline.files import write_model
from pipeline.imaging.codec import encode_png
from pipeline.inference.inspector import Inspector
from pipeline.registry.decisions.review import Review
from pipeline.registry.push import Registration
from pipeline.registry.resolution import resolve
from pipeline.registry.store import Registry

Register = Callable[[Registry, Bundle], Registration]


def test_pulled_bundle_is_the_pushed_one_byte_for_byte(
    two_versions: Registry, sealed_bundle: Bundle, tmp_path: Path
) -> None:
    pulled = two_versions.pull(two_versions.versions("cells")[0], tmp_path / "cache" / "1")
    there = {p.name: p.read_bytes() for p in pulled.folder.iterdir()}
    assert there == {p.name: p.read_bytes() for p in sealed_bundle.folder.iterdir()}


def test_version_registered_by_others_is_refused(registry: Registry, tmp_path: Path) -> None:
    client = MlflowClient(registry.uri, registry.uri)
    client.create_registered_model("cells")
    client.create_model_version("cells", source=tmp_path.as_uri())
    with pytest.raises(RegistryError, match="not registered by Lineside"):
        registry.pull(registry.versions("cells")[0], tmp_path / "cache" / "1")


def test_a_bundle_with_a_reference_picture_travels_and_inspects(
    registry: Registry, sealed_bundle: Bundle, register: Register, tmp_path: Path
) -> None:
    folder = sealed_bundle.folder
    light = FlatField(reference="flat")
    spec = sealed_bundle.preprocess.model_copy(update={"flat_field": light})
    write_model(folder / "preprocess.json", spec)
    even = np.full((48, 64, 3), 200, np.uint8)
    (folder / reference_file("flat")).write_bytes(encode_png(even))
    seal(folder)
    register(registry, open_bundle(folder))
    Review(registry, "cells").promote(1, "A. Weber", "first release")
    pulled = registry.pull(resolve(registry, "cells").version, tmp_path / "cache" / "1")
    assert Inspector(pulled).inspect(even).decision.verdict is Verdict.PASS
