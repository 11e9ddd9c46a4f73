"""Pictures that show no part: whatever the network would say of them, none is a PASS."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.contracts.bundle import (
    EXAMPLES,
    Bundle,
    Familiarity,
    Range,
    Reference,
    open_bundle,
    seal,
)
from pipeline.files import write_model
from pipeline.imaging import Pixels, codec
from tests.conftest import SealBundle
from tests.daemon.conftest import picture
from tests.daemon.servers.mjpeg import Answer, Server
from tests.faults.asking import Client, free_port
from tests.faults.conftest import Plant

SIZE_PX = (24, 20)


def part(shade: int, step: int = 0) -> Pixels:
    """A picture of a part: even, with columns a little brighter, so that it has edges."""
    pixels = picture(shade)
    pixels[:, step % 6 :: 6] += 10
    return pixels


def foreign() -> Pixels:
    """As bright and as sharp as a good part, but left and right are not."""
    pixels = part(200)
    pixels[:, :12] -= 40
    pixels[:, 12:] += 40
    return pixels


@pytest.fixture
def sealed_bundle(tmp_path: Path, seal_bundle: SealBundle) -> Bundle:
    """The tiny bundle, which here knows what sharp parts look like, and three of them."""
    folder = tmp_path / "bundle"
    seal_bundle(folder)
    (folder / "manifest.json").unlink()
    reference = Reference(
        n_images=10,
        brightness=Range(low=60, median=200, high=210),
        contrast=Range(low=2, median=4, high=80),
        sharpness=Range(low=100, median=200, high=9000),
    )
    write_model(folder / "reference.json", reference)
    bundle = open_bundle(folder, seal(folder))
    from pipeline.inference.inspector import Inspector

    inspector = Inspector(bundle, 1)
    known = [inspector.look(part(shade)).embedding[0] for shade in (50, 128, 200)]
    np.save(folder / EXAMPLES, np.array(known, np.float32), allow_pickle=False)
    return bundle
