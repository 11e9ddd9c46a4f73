"""LeNet-5: LeCun et al., Gradient-Based Learning Applied to Document Recognition, Proc. IEEE 1998.

In colour, with every S2 map seen by C3 and a linear output, as it is built today; C5 is a
convolution as in the paper, so that larger images give larger maps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.training.architectures import Architecture

if TYPE_CHECKING:
    from torch import Tensor, nn


def _maps(net: Any, x: Tensor) -> list[Tensor]:
    found: list[Tensor] = net.maps(x)
    return found


def _create() -> nn.Module:
    from pipeline.training.architectures._lenet5 import LeNet5

    return LeNet5()


ARCHITECTURES = (
    Architecture(
        "lenet5",
        _maps,
        ("f6", "output"),
        parameters=62_006,
        multiply_adds=651_720,
        hub=None,
        top1=None,
        input_px=32,
        create=_create,
    ),
)
