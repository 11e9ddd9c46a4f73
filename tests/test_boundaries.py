"""Calls point downward only, and the line side stays light."""

from __future__ import annotations

from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.imports import closure, imports, modules, plugin_packages

# Each package, and those of ours it may call beside the ground floor.
GROUND = {"errors", "files", "plugins", "config", "source_code"}
MAY_CALL: dict[str, set[str]] = {
    "contracts": set(),
    "imaging": {"contracts"},
    "ledger": {"contracts"},
    "inference": {"imaging", "contracts"},
    "datasets": {"ledger", "imaging", "contracts"},
    "metrics": {"contracts"},
    "registry": {"imaging", "contracts"},
    "reporting": {"datasets", "metrics", "imaging", "contracts"},
    "evaluation": {
        *("training", "inference", "datasets", "metrics", "registry", "imaging", "contracts"),
    },
    "training": {"inference", "datasets", "metrics", "registry", "imaging", "contracts"},
    "daemon": {"inference", "registry", "ledger", "imaging", "contracts"},
    "stages": {
        *("evaluation", "training", "reporting", "inference", "datasets", "metrics"),
        *("registry", "imaging", "contracts"),
    },
    "cli": {
        *("daemon", "training", "reporting", "datasets", "registry", "ledger", "contracts"),
        "__version__",
    },
    "testing": {"daemon", "contracts", "imaging"},
}
# The rooms of large packages from the ground up; each may call those of the lines above its own.
FLOORS: dict[str, tuple[set[str], ...]] = {
    "daemon": (
        {"runtime"},
        {"net"},
        {"sources", "sinks"},
        {"triggers"},
        {"settings"},
        {"inspection", "images", "outbox", "model"},
        {"challenge"},
        {"status", "quality"},
        {"station", "systemd"},
        {"web"},
        {"build"},
        {"service"},
    ),
    "training": (
        {"architectures", "augmentation", "head_modules", "tile_pooling"},
        {"network", "export", "tracking"},
        {"checkpoint", "features"},
        {"heads"},
        {"pooling"},
        {"attribution", "finetune", "suspects"},
        {"distillation", "training_data", "leaky_baseline"},
        {"normal"},
        {"settings", "trained"},
        {"methods", "tuning"},
    ),
    "datasets": (
        {"archives", "never_parts"},
        {"location", "splits", "image_mode", "shards", "scores"},
        {"listings"},
        {"annotations"},
        {"adapters", "grouping", "golden", "scanning"},
        {"manifest", "scan_cache"},
        {"checks", "manifest_reader", "shard_writer"},
        {"proposals"},
    ),
}
TRAINING_ONLY = {"torch", "torchvision", "timm", "pytorch_lightning", "albumentations"}
LINE_SIDE_NEVER = {
    *TRAINING_ONLY,
    *("pandas", "pyarrow", "sklearn", "scipy", "matplotlib", "onnx", "dvc", "safetensors"),
    *("PIL", "jinja2"),
}


def package_of(module: str) -> str:
    """`daemon` for `pipeline.daemon.station`; "" for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


@cache
def graph() -> dict[str, set[str]]:
    """Each module with those of ours that it imports: a package only where it is meant itself."""
    known = modules()
    found = {}
    for module, path in known.items():
        names = set(imports(path)) & set(known)
        meant = {n for n in names if n == module or not any(m.startswith(f"{n}.") for m in names)}
        # `from pipeline.a import b, Name` names the module a.b and the package a for itself.
        meant |= {n for n in names if any(m.rpartition(".")[0] == n for m in attributes(path))}
        found[module] = meant - {module}
    return found


def attributes(path: Path) -> set[str]:
    """Dotted names that a file imports and that are not modules."""
    return set(imports(path)) - set(modules())


@pytest.mark.parametrize("package", MAY_CALL)
def test_a_package_calls_only_what_lies_below_it(package: str) -> None:
    allowed = MAY_CALL[package] | GROUND | {package, ""}
    wrong = [
        f"{module} imports {name}"
        for module, path in modules().items()
        if package_of(module) == package
        for name in imports(path)
        if name.split(".")[0] == "pipeline" and package_of(name) not in allowed
        if name in modules() or name.rpartition(".")[0] in modules()
    ]
    assert wrong == []


def test_every_package_has_its_place_in_the_order() -> None:
    assert {package_of(m) for m in modules()} - {"", *GROUND} == set(MAY_CALL)


def test_no_files_import_each_other_in_a_circle() -> None:
    try:
        order = list(TopologicalSorter(graph()).static_order())
    except CycleError as circle:
        pytest.fail(" imports ".join(reversed(circle.args[1])))
    assert len(order) == len(modules())


@pytest.mark.parametrize("package", FLOORS)
def test_every_room_has_its_floor(package: str) -> None:
    rooms = {m.split(".")[2] for m in modules() if m.startswith(f"pipeline.{package}.")}
    assert sorted(room for floor in FLOORS[package] for room in floor) == sorted(rooms)


@pytest.mark.parametrize("package", FLOORS)
def test_a_room_calls_only_rooms_on_floors_below(package: str) -> None:
    floor_of = {room: i for i, floor in enumerate(FLOORS[package]) for room in floor}
    wrong = []
    for module, imported in graph().items():
        room = module.removeprefix(f"pipeline.{package}.").split(".")[0]
        for name in imported if module.startswith(f"pipeline.{package}.") else ():
            other = name.removeprefix(f"pipeline.{package}.").split(".")[0]
            if name.startswith(f"pipeline.{package}.") and room != other:
                wrong += [f"{module} imports {name}"] * (floor_of[other] >= floor_of[room])
    assert wrong == []


def test_the_ground_floor_calls_nothing_above_it() -> None:
    for name in GROUND:
        for imported in imports(modules()[f"pipeline.{name}"]):
            assert not imported.startswith("pipeline") or package_of(imported) in GROUND


def test_torch_and_albumentations_are_imported_in_training_only() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, path in modules().items()
        if package_of(module) != "training"
        for name in imports(path)
        if name.split(".")[0] in TRAINING_ONLY and name != "safetensors"
    ]
    assert wrong == []


def test_pixels_are_changed_in_imaging_only() -> None:
    wrong = [
        f"{module} imports cv2"
        for module, path in modules().items()
        if package_of(module) not in ("imaging", "training") and "cv2" in set(imports(path))
    ]
    assert wrong == []


def test_the_line_side_needs_nothing_that_a_plain_install_lacks() -> None:
    reached = closure("pipeline.daemon.station")
    for package in plugin_packages(reached):
        for module in modules():
            if module.startswith(package):
                reached |= closure(module)
    heavy = {
        f"{module} imports {name}"
        for module in reached
        for name in imports(modules()[module])
        if name.split(".")[0] in LINE_SIDE_NEVER
    }
    assert {h for h in heavy if not h.startswith("pipeline.registry.push")} == set()


def test_no_model_is_loaded_through_pickle() -> None:
    for module, path in modules().items():
        text = path.read_text("utf-8")
        assert {"pickle", "cloudpickle", "dill", "joblib"}.isdisjoint(imports(path)), module
        assert "allow_pickle=True" not in text, module
        assert "weights_only=False" not in text, module
        loads = text.count("torch.load(") + text.count("load_state_dict_from_url(")
        assert loads <= text.count("weights_only=True"), module
