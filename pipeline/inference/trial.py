"""A bundle is tried before it judges parts: it must load, run and reproduce its golden frame."""

from __future__ import annotations

import logging

import numpy as np

from pipeline.contracts.bundle import Bundle
from pipeline.errors import BundleError, LinesideError, UnreadableImage
from pipeline.imaging import codec
from pipeline.inference.inspector import Inspector

log = logging.getLogger(__name__)


def load(bundle: Bundle, threads: int = 0) -> Inspector:
    """An inspector that is warm and has judged the golden frame as evaluation did.

    Args:
        bundle: verified.
        threads: for the network; 0 means one for each physical core.

    Raises:
        BundleError: the graph does not load or run, or this machine judges otherwise than the one
            that the bundle was evaluated on.
    """
    inspector = Inspector(bundle, threads)
    warm_up(inspector)
    check_golden(inspector)
    return inspector


def warm_up(inspector: Inspector) -> None:
    """Judge one black frame, so that the first part waits no longer than the others.

    Raises:
        BundleError: the graph loads but does not run.
    """
    try:
        inspector.inspect(np.zeros((*inspector.preparation.frame_px, 3), np.uint8))
    except LinesideError:
        raise
    except Exception as error:  # ONNX Runtime raises a dozen unrelated types
        raise BundleError(f"{inspector.bundle.model} does not run: {error}") from error


def check_golden(inspector: Inspector) -> None:
    """Decode and judge the bundle's golden frame; a bundle without one is not checked.

    Raises:
        BundleError: a probability is off by more than the tolerance, the verdict is another, or
            the picture cannot be decoded here.
    """
    bundle = inspector.bundle
    golden = bundle.golden
    if golden is None:
        log.info("%s has no golden frame: nothing to compare this machine with", bundle.folder)
        return
    path = bundle.folder / golden.file
    try:
        seen = inspector.inspect(codec.read(path, bundle.preprocess.raw))
    except UnreadableImage as error:
        raise BundleError(f"the golden frame cannot be judged here: {error}") from error
    off = {
        name: abs(float(p) - golden.probabilities[name])
        for name, p in zip(bundle.taxonomy.names, seen.probabilities, strict=True)
    }
    worst = max(off, key=lambda name: off[name])
    verdict = seen.decision.verdict
    if off[worst] <= golden.tolerance and verdict == golden.verdict:
        return
    raise BundleError(
        f"{path} ({golden.sample_id}) is judged otherwise here than in evaluation: {verdict} for "
        f"{golden.verdict}, probability of {worst} off by {off[worst]:.4f} (allowed "
        f"{golden.tolerance:g}); install the ONNX Runtime and OpenCV of constraints.txt here, or "
        "evaluate again with those of this station; the bundle is refused"
    )
