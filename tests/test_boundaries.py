"""Calls point downward only, and the line side stays light."""

from __future__ import annotations

import pytest

from tests.imports import closure, imports, modules, plugin_packages

# Each package, and those of ours it may call beside the ground floor.
GROUND = {"errors", "files", "plugins", "config"}
MAY_CALL: dict[str, set[str]] = {
    "contracts": set(),
    "imaging": {"contracts"},
    "inference": {"imaging", "contracts"},
    "datasets": {"imaging", "contracts"},
    "metrics": {"contracts"},
    "registry": {"imaging", "contracts"},
    "reporting": {"datasets", "metrics", "imaging", "contracts"},
    "evaluation": {
        *("training", "inference", "datasets", "metrics", "registry", "imaging", "contracts"),
    },
    "training": {"inference", "datasets", "metrics", "registry", "imaging", "contracts"},
    "daemon": {"inference", "registry", "imaging", "contracts"},
    "stages": {
        *("evaluation", "training", "reporting", "inference", "datasets", "metrics"),
        *("registry", "imaging", "contracts"),
    },
    "cli": {"daemon", "training", "reporting", "datasets", "registry", "__version__"},
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
    packages = {package_of(m) for m, path in modules().items() if path.name == "__init__.py"}
    assert packages - {""} == set(MAY_CALL)


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
