"""Fixtures that several parts of the suite share. Everything is real and tiny."""

from __future__ import annotations

import os

# Before NumPy and torch read it, here and in what tests start: tiny networks gain nothing by
# threads, and threads that wait for one another on shared cores only cost.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import gc
import shutil
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx
import pytest
from _pytest.terminal import TerminalReporter
from onnx import TensorProto, helper, numpy_helper

from pipeline.contracts.bundle import (
    Bundle,
    OperatingPoint,
    Provenance,
    Range,
    Reference,
    open_bundle,
    seal,
)
from pipeline.contracts.spec import PreprocessSpec
from pipeline.contracts.taxonomy import Disposition, PartClass, Taxonomy
from pipeline.files import write_model
from pipeline.registry.connection import connect
from pipeline.registry.store import Registry
from tests.lanes import mark_slow, pytest_runtest_protocol, pytest_runtest_teardown
from tests.migrations import read_migrations_once
from tests.workers import made_once

# The hooks that keep the fast lane fast.
__all__ = ["pytest_runtest_protocol", "pytest_runtest_teardown"]

# Before anything imports MLflow: no test asks a server that the developer happens to use.
os.environ.pop("MLFLOW_TRACKING_URI", None)
os.environ.pop("DVC_ROOT", None)

# The files that take longest, longest first, so that no worker is left alone with one at the end;
# `--durations` shows which they are. The first ones run whole pipelines.
LONG = (
    *("tests/test_repro_data_sets.py", "tests/test_repro.py", "tests/test_sweeps.py"),
    *("tests/stages/", "tests/registry/decisions/", "tests/registry/", "tests/cli/test_models.py"),
    *("tests/training/augmentation/", "tests/reporting/", "tests/faults/"),
    *("tests/training/architectures/", "tests/daemon/web/"),
    *("tests/imaging/", "tests/datasets/checks/", "tests/test_parity.py"),
    *("tests/daemon/model/", "tests/training/", "tests/evaluation/", "tests/daemon/"),
)

RECOVERY = "recovery"  # how tests/faults names the seconds it has measured
SIZE_PX = 16
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what `-m` does not ask for
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark_slow(items)

    def place(item: pytest.Item) -> int:
        return next((i for i, start in enumerate(LONG) if item.nodeid.startswith(start)), len(LONG))

    items.sort(key=place)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Leave what modules make when imported, which stays, out of the search for garbage."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_unconfigure() -> None:
    gc.unfreeze()  # some libraries report at the end what was never collected


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print how long a station took to recover from each fault.

    Here, not in tests/faults: with `-n` the process that prints loads no other conftest.
    """
    told = [
        (report.nodeid.rpartition("::")[2], what)
        for report in terminalreporter.stats.get("passed", [])
        for key, what in report.user_properties
        if key == RECOVERY
    ]
    if told:
        terminalreporter.section("recovery")
        for test, what in told:
            terminalreporter.line(f"{test}: {what}")


class SealBundle(Protocol):
    """Seals a tiny bundle in a folder; `fail_from` makes bundles of different identity."""

    def __call__(self, folder: Path, fail_from: float = 0.8) -> Bundle: ...


@pytest.fixture(scope="session")
def seal_bundle() -> SealBundle:
    return _seal_bundle


@pytest.fixture
def sealed_bundle(tmp_path: Path) -> Bundle:
    """Judges by mean brightness: 200 is good, 128 in doubt, 50 defective.

    Its training images were 60 to 180 bright, so a picture darker than 30 or brighter than 240 is
    unlike them.
    """
    return _seal_bundle(tmp_path / "bundle")


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables, which take seconds to make."""
    read_migrations_once()

    def make(folder: Path) -> None:
        client = connect(f"sqlite:///{folder / 'mlflow.db'}", create=True)
        client.search_registered_models()

    return made_once(tmp_path_factory, "registry", make) / "mlflow.db"


@pytest.fixture
def registry(empty_registry: Path, tmp_path: Path) -> Registry:
    """An empty registry of the test's own, in SQLite."""
    shutil.copy(empty_registry, tmp_path / "mlflow.db")
    return Registry(f"sqlite:///{tmp_path / 'mlflow.db'}", now=lambda: NOW)


def _seal_bundle(folder: Path, fail_from: float = 0.8) -> Bundle:
    folder.mkdir(parents=True)
    onnx.save(_brightness_network(), str(folder / "model.onnx"))
    parts = {
        "preprocess.json": PreprocessSpec(colour="grey", width_px=SIZE_PX, height_px=SIZE_PX),
        "taxonomy.json": Taxonomy(
            classes=(
                PartClass(name="good", disposition=Disposition.PASS),
                PartClass(name="defective", disposition=Disposition.SCRAP, severity=5),
            )
        ),
        "operating_point.json": OperatingPoint(pass_below=0.2, fail_from=fail_from),
        "reference.json": Reference(
            n_images=10,
            brightness=Range(low=60, median=120, high=180),
            contrast=Range(low=0, median=10, high=80),
            sharpness=Range(low=0, median=10, high=9000),
        ),
        "provenance.json": Provenance(
            recipe="brightness",
            architecture="mean",
            method="by hand",
            weights="none",
            n_train=10,
        ),
    }
    for name, part in parts.items():
        write_model(folder / name, part)
    return open_bundle(folder, seal(folder))


def _brightness_network() -> onnx.ModelProto:
    """logits = (0, 20 - 40 * mean/255): the darker, the more defective; embedding: row means."""
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["mean3"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["mean3", "weight"], ["scaled"]),
        helper.make_node("Add", ["scaled", "bias"], ["logits"]),
        helper.make_node("ReduceMean", ["pixels"], ["embedding"], axes=[2, 3], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SIZE_PX, SIZE_PX, 1])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", SIZE_PX]),
        ],
        [
            numpy_helper.from_array(np.array([[0, -40 / 255]], np.float32), "weight"),
            numpy_helper.from_array(np.array([0, 20], np.float32), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model
