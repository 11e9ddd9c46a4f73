"""A bundle is opened only as it was sealed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.contracts.bundle import (
    MANIFEST,
    MODEL,
    PARTS,
    Bundle,
    OperatingPoint,
    open_bundle,
    read_part,
    seal,
)
from pipeline.contracts.spec import PreprocessSpec
from pipeline.errors import BundleError
from pipeline.files import sha256, write_model
from tests.golden_frames import FILE, with_golden_frame

LIMITS = st.floats(0, 1.1)


def test_a_sealed_bundle_opens_with_the_parts_that_were_written(sealed_bundle: Bundle) -> None:
    opened = open_bundle(sealed_bundle.folder)
    assert opened == sealed_bundle
    assert opened.preprocess == PreprocessSpec(colour="grey", width_px=16, height_px=16)
    assert opened.taxonomy.names == ("good", "defective")
    assert opened.operating_point == OperatingPoint(pass_below=0.2, fail_from=0.8)
    assert opened.reference.brightness.high == 180
    assert opened.provenance.recipe == "brightness"
    assert opened.model.read_bytes()


def test_the_identity_is_the_hash_of_the_manifest(sealed_bundle: Bundle) -> None:
    assert sealed_bundle.sha256 == sha256(sealed_bundle.folder / MANIFEST)


def test_a_copy_elsewhere_and_later_has_the_same_identity(
    sealed_bundle: Bundle, tmp_path: Path
) -> None:
    copy = tmp_path / "elsewhere" / "copy"
    shutil.copytree(sealed_bundle.folder, copy)
    for file in copy.iterdir():
        os.utime(file, (1, 1))
    (copy / MANIFEST).unlink()
    assert seal(copy) == sealed_bundle.sha256


def test_sealing_twice_gives_the_same_identity(sealed_bundle: Bundle) -> None:
    assert seal(sealed_bundle.folder) == sealed_bundle.sha256


def test_another_operating_point_is_another_identity(sealed_bundle: Bundle) -> None:
    point = OperatingPoint(pass_below=0.2, fail_from=0.7)
    write_model(sealed_bundle.folder / "operating_point.json", point)
    assert seal(sealed_bundle.folder) != sealed_bundle.sha256


@pytest.mark.parametrize("name", [MODEL, *PARTS])
def test_an_altered_file_is_refused_by_name(sealed_bundle: Bundle, name: str) -> None:
    path = sealed_bundle.folder / name
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(BundleError, match=rf"{name} was altered after the bundle was sealed"):
        open_bundle(sealed_bundle.folder)


@pytest.mark.parametrize("name", [MODEL, *PARTS])
def test_a_missing_file_is_refused_by_name(sealed_bundle: Bundle, name: str) -> None:
    (sealed_bundle.folder / name).unlink()
    with pytest.raises(BundleError, match=rf"{name} is missing; the bundle is refused"):
        open_bundle(sealed_bundle.folder)


@pytest.mark.parametrize("name", ["extra.txt", "sub/model.onnx.data"])
def test_an_added_file_is_refused_by_name(sealed_bundle: Bundle, name: str) -> None:
    path = sealed_bundle.folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("x")
    with pytest.raises(BundleError, match=rf"{name} is not in the manifest"):
        open_bundle(sealed_bundle.folder)


def test_a_bundle_resealed_after_a_change_is_not_what_the_registry_promised(
    sealed_bundle: Bundle,
) -> None:
    point = OperatingPoint(pass_below=1.1, fail_from=1.1)
    write_model(sealed_bundle.folder / "operating_point.json", point)
    seal(sealed_bundle.folder)
    with pytest.raises(BundleError, match=rf"{MANIFEST} was altered.*the registry has"):
        open_bundle(sealed_bundle.folder, sealed_bundle.sha256)


def test_the_promised_identity_is_accepted(sealed_bundle: Bundle) -> None:
    assert open_bundle(sealed_bundle.folder, sealed_bundle.sha256) == sealed_bundle


def test_a_folder_without_manifest_is_not_a_bundle(sealed_bundle: Bundle) -> None:
    (sealed_bundle.folder / MANIFEST).unlink()
    with pytest.raises(BundleError, match="not a sealed bundle"):
        open_bundle(sealed_bundle.folder)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"\xff\xfe", b'{"format": 2, "files": {}}', b'{"format": 1}']
)
def test_a_manifest_of_another_format_is_refused(sealed_bundle: Bundle, content: bytes) -> None:
    (sealed_bundle.folder / MANIFEST).write_bytes(content)
    with pytest.raises(BundleError, match="not a manifest of format 1"):
        open_bundle(sealed_bundle.folder)


@pytest.mark.parametrize("name", [MODEL, *PARTS])
def test_a_bundle_sealed_without_a_part_is_incomplete(sealed_bundle: Bundle, name: str) -> None:
    (sealed_bundle.folder / name).unlink()
    seal(sealed_bundle.folder)
    with pytest.raises(BundleError, match=rf"has no {name}; the bundle is incomplete"):
        open_bundle(sealed_bundle.folder)


def test_a_manifest_cannot_reach_outside_the_folder(sealed_bundle: Bundle, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("x")
    path = sealed_bundle.folder / MANIFEST
    manifest = json.loads(path.read_bytes())
    manifest["files"]["../outside.txt"] = {"sha256": sha256(outside), "bytes": 1}
    path.write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="refused"):
        open_bundle(sealed_bundle.folder)


def test_a_part_of_another_version_names_file_and_key(sealed_bundle: Bundle) -> None:
    path = sealed_bundle.folder / "preprocess.json"
    part = json.loads(path.read_bytes())
    part["gamma"] = 2.2
    path.write_text(json.dumps(part))
    seal(sealed_bundle.folder)
    with pytest.raises(BundleError, match=r"preprocess\.json does not fit.*: gamma "):
        open_bundle(sealed_bundle.folder)


def test_a_part_that_is_not_there_makes_the_bundle_incomplete(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"preprocess\.json is missing"):
        read_part(tmp_path, "preprocess.json", PreprocessSpec)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(LIMITS, LIMITS)
def test_limits_are_accepted_in_order_and_refused_otherwise(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert OperatingPoint(pass_below=low, fail_from=high).fail_from == high
    if low < high:
        with pytest.raises(ValidationError, match="is below pass_below"):
            OperatingPoint(pass_below=high, fail_from=low)


@pytest.mark.parametrize("limit", [-0.01, 1.11, float("nan"), float("inf")])
def test_limits_that_are_not_scores_are_refused(limit: float) -> None:
    with pytest.raises(ValidationError):
        OperatingPoint(pass_below=limit, fail_from=1.1)
    with pytest.raises(ValidationError):
        OperatingPoint(pass_below=0.0, fail_from=limit)


def test_without_a_teacher_provenance_is_what_stations_before_teachers_can_read(
    sealed_bundle: Bundle,
) -> None:
    assert (sealed_bundle.folder / "provenance.json").read_text() == (
        '{\n  "recipe": "brightness",\n  "architecture": "mean",\n  "method": "by hand",\n'
        '  "weights": "none",\n  "n_train": 10\n}\n'
    )
    assert sealed_bundle.provenance.teacher == ""


def test_pooling_stands_in_the_provenance_only_where_a_station_must_know_it(
    sealed_bundle: Bundle,
) -> None:
    plain = sealed_bundle.provenance
    assert "pooling" not in plain.model_dump()
    assert plain.model_copy(update={"pooling": "noisy_or"}).model_dump()["pooling"] == "noisy_or"


def test_a_teacher_stands_in_the_bundle_that_it_taught(sealed_bundle: Bundle) -> None:
    taught = sealed_bundle.provenance.model_copy(update={"teacher": "abc"})
    write_model(sealed_bundle.folder / "provenance.json", taught)
    assert open_bundle(sealed_bundle.folder, seal(sealed_bundle.folder)).provenance == taught


def test_a_golden_frame_is_sealed_with_the_bundle(sealed_bundle: Bundle) -> None:
    bundle = with_golden_frame(sealed_bundle, np.full((20, 24, 3), 130, np.uint8))
    assert bundle.golden is not None
    assert (bundle.golden.file, bundle.golden.tolerance) == (FILE, 1e-3)
    (bundle.folder / FILE).write_bytes(b"another picture")
    with pytest.raises(BundleError, match=r"golden-frame\.png was altered"):
        open_bundle(bundle.folder)


def test_a_golden_frame_without_its_picture_is_incomplete(sealed_bundle: Bundle) -> None:
    folder = with_golden_frame(sealed_bundle, np.full((20, 24, 3), 130, np.uint8)).folder
    (folder / FILE).unlink()
    seal(folder)
    with pytest.raises(BundleError, match=r"has no golden-frame\.png, which golden\.json names"):
        open_bundle(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"probabilities": {"good": 0.5, "broken": 0.5}}, r"golden\.json speaks of .*good, broken"),
        ({"file": "../../etc/passwd"}, r"golden\.json does not fit .*: file "),
        ({"verdict": "NOT_INSPECTED"}, r"golden\.json does not fit .*: verdict "),
    ],
)
def test_a_golden_frame_that_cannot_be_one_is_refused(
    sealed_bundle: Bundle, change: dict[str, object], said: str
) -> None:
    folder = with_golden_frame(sealed_bundle, np.full((20, 24, 3), 130, np.uint8)).folder
    told = json.loads((folder / "golden.json").read_bytes()) | change
    (folder / "golden.json").write_text(json.dumps(told))
    seal(folder)
    with pytest.raises(BundleError, match=said):
        open_bundle(folder)
