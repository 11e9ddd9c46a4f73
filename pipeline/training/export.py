"""Torch to ONNX, with the proof that both say the same."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pipeline.errors import TrainingError
from pipeline.imaging import Pixels
from pipeline.inference.predictor import session

PARITY = 1e-4


def export(module: nn.Module, example: Pixels, outputs: Sequence[str], path: Path) -> None:
    """Write an ONNX graph that takes `image`, uint8 N,H,W,C for any N."""
    noisy = logging.getLogger("torch.onnx")
    level = noisy.level
    noisy.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Two images: with one, the exporter takes the batch for a constant.
            torch.onnx.export(
                module.eval(),
                (torch.from_numpy(np.stack([example, example])),),
                str(path),
                input_names=["image"],
                output_names=list(outputs),
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                external_data=False,
                verbose=False,
            )
    finally:
        noisy.setLevel(level)


def parity(module: nn.Module, path: Path, images: Pixels) -> float:
    """Largest difference between torch and ONNX Runtime, relative to the outputs' own size.

    Args:
        module: the torch network.
        path: its exported graph.
        images: uint8 N,H,W,C, real ones.

    Raises:
        TrainingError: they differ by more than `PARITY`.
    """
    with torch.inference_mode():
        expected = [t.numpy() for t in module.eval()(torch.from_numpy(images))]
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
