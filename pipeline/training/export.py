"""Torch to ONNX, with a proof that both give the same outputs."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
import onnx
import onnx.compose
import torch
from timm.layers import padding
from torch import nn

from pipeline.errors import TrainingError
from pipeline.imaging import Pixels
from pipeline.inference.predictor import session

Floats = npt.NDArray[np.float32]
PARITY = 1e-4
OPSET = 18


def export(
    module: nn.Module,
    example: npt.NDArray[Any],
    source: str,
    outputs: Sequence[str],
    path: Path,
    n_tiles: int = 1,
    of_parts: Sequence[str] = (),
) -> None:
    """Write an ONNX graph of a module with one input.

    Args:
        module: the network or a part of it.
        example: one input without the batch axis; any number may come in the first axis.
        source: name of the input.
        outputs: names of the outputs.
        path: where to write.
        n_tiles: of a part; the first axis takes all tiles of any number of parts.
        of_parts: the outputs that have one row a part.
    """
    axes = {name: {0: "parts" if name in of_parts else "batch"} for name in (source, *outputs)}
    # TorchScript's exporter, not dynamo's: 1 s instead of 6 to 17 for the same operators and the
    # same speed at the line (BENCHMARKS.md). `parity` proves every graph, by either exporter.
    with _without_warnings(), _fixed_padding():
        torch.onnx.export(
            module.eval(),
            # Two parts: with one, a tracer may take the batch for a constant.
            (torch.from_numpy(np.stack([example] * 2 * n_tiles)),),
            str(path),
            input_names=[source],
            output_names=list(outputs),
            dynamo=False,
            dynamic_axes=axes,
            opset_version=OPSET,
        )


@contextmanager
def _without_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _fixed_padding() -> Iterator[None]:
    """Images have one size: padding that timm computes from it need not be computed at the line."""
    computed = padding.get_same_padding

    def fixed(size: Any, *kernel: int) -> Any:
        return computed(int(size), *kernel)

    with mock.patch.object(padding, "get_same_padding", fixed):
        yield


def join(first: Path, second: Path, outputs: Sequence[str], path: Path) -> None:
    """Feed the outputs of one graph to the inputs of the same name of another.

    Tracing a large network takes far longer than appending a head to its graph.
    """
    head = onnx.load(str(second))
    links = [(i.name, i.name) for i in head.graph.input]
    joined = onnx.compose.merge_models(
        onnx.load(str(first)),
        onnx.compose.add_prefix(head, "head/", rename_inputs=False, rename_outputs=False),
        io_map=links,
        outputs=list(outputs),
    )
    onnx.checker.check_model(joined)
    onnx.save(joined, str(path))


def parity(module: nn.Module, path: Path, images: Pixels, given: Floats | None = None) -> float:
    """Largest difference between torch and ONNX Runtime, relative to the outputs' own size.

    Args:
        module: the torch network.
        path: its exported graph.
        images: uint8 N,H,W,C, real ones.
        given: what the module takes instead, where it is only the last part of the graph: float32
            N,D, what the part before it makes of these images.

    Raises:
        TrainingError: they differ by more than `PARITY`.
    """
    with torch.inference_mode():
        made = module.eval()(torch.from_numpy(images if given is None else given))
    expected = [t.numpy() for t in ((made,) if isinstance(made, torch.Tensor) else made)]
    got = session(path).run(None, {"image": images})
    worst = max(
        float(np.abs(e - g).max() / max(1.0, np.abs(e).max()))
        for e, g in zip(expected, got, strict=True)
    )
    if not worst <= PARITY:
        raise TrainingError(
            f"the exported graph differs from torch by {worst:.1e} (allowed {PARITY:.0e}); "
            "nothing was written"
        )
    return worst
