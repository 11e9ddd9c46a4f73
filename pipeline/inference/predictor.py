"""ONNX Runtime: prepared pixels to class probabilities and an embedding."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from pipeline.contracts.bundle import Bundle
from pipeline.errors import BundleError
from pipeline.imaging import Pixels

Floats = npt.NDArray[np.float32]
HEAT = "heat"  # output of graphs that show where a score comes from


@dataclass(frozen=True)
class Prediction:
    """The network's outputs for N images.

    Attributes:
        probabilities: float32 N,K; rows sum to 1; K in the order of the taxonomy. Where the graph
            pools the T tiles of a part, one row a part.
        embedding: float32 N,D; a picture's place among others, for drift and novelty.
        contributions: float32 N/T,T, of each tile to what its part is; None without pooling.
    """

    probabilities: Floats
    embedding: Floats
    contributions: Floats | None = None


def session(model: Path, threads: int = 0) -> ort.InferenceSession:
    """Open a graph on the CPU; 0 threads means one for each physical core."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


class Predictor:
    """A loaded network. `predict` may be called from one thread at a time.

    Attributes:
        pools: the graph pools the tiles of a part, and takes all of them at once.
        has_heat: the graph itself gives a map of where a score comes from.
    """

    def __init__(self, bundle: Bundle, threads: int = 0) -> None:
        """Load the graph of a verified bundle.

        Raises:
            BundleError: the graph does not load or does not fit the bundle's spec and taxonomy.
        """
        try:
            self._session = session(bundle.model, threads)
        except Exception as error:  # ONNX Runtime raises a dozen unrelated types
            raise BundleError(f"{bundle.model} does not load in ONNX Runtime: {error}") from error
        self._shape = bundle.preprocess.shape
        self.has_heat = HEAT in {o.name for o in self._session.get_outputs()}
        inputs = {i.name: (i.type, i.shape[1:]) for i in self._session.get_inputs()}
        if inputs != {"image": ("tensor(uint8)", list(self._shape))}:
            raise BundleError(
                f"{bundle.model} takes {inputs}; preprocess.json promises image uint8 {self._shape}"
            )
        outputs = {o.name: o.shape[-1] for o in self._session.get_outputs()}
        self._outputs = ["logits", "embedding"]
        self.pools = "contributions" in outputs
        if self.pools:
            self._outputs.append("contributions")
        if outputs.get("logits") != len(bundle.taxonomy.classes) or "embedding" not in outputs:
            raise BundleError(
                f"{bundle.model} gives {outputs}; taxonomy.json has "
                f"{len(bundle.taxonomy.classes)} classes"
            )
        if self.pools != bool(bundle.provenance.pooling):
            raise BundleError(
                f"{bundle.model} gives {outputs}; provenance.json promises "
                f"{bundle.provenance.pooling or 'no'} pooling of tiles"
            )

    def predict(self, images: Pixels) -> Prediction:
        """Judge N prepared images, uint8 N,H,W,C as `imaging.prepare` makes them.

        Where the graph pools tiles, these are all tiles of one part or of several.

        Raises:
            BundleError: the network gives values that are not finite.
        """
        if images.dtype != np.uint8 or images.shape[1:] != self._shape:
            raise ValueError(f"expected uint8 N,{self._shape}, got {images.dtype} {images.shape}")
        logits, embedding, *pooled = self._session.run(self._outputs, {"image": images})
        if not np.isfinite(logits).all():
            raise BundleError("the network gave values that are not numbers; nothing was judged")
        return Prediction(softmax(logits), embedding, *pooled)

    def heat(self, images: Pixels) -> Floats | None:
        """The graph's own map of where a score comes from, float32 N,h,w; None where it has none.

        Args:
            images: N prepared images, uint8 N,H,W,C.
        """
        if not self.has_heat:
            return None
        found: Floats = self._session.run([HEAT], {"image": images})[0]
        return found


def softmax(logits: Floats) -> Floats:
    """Row-wise softmax, float32 N,K."""
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    out: Floats = exp / exp.sum(axis=1, keepdims=True)
    return out
