"""Bundles whose graph pools the tiles of a part."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pipeline.contracts.bundle import Bundle, open_bundle, seal
from pipeline.contracts.spec import Tiles
from pipeline.files import write_model

N_TILES = 2


def pooled(sealed_bundle: Bundle) -> Bundle:
    """`sealed_bundle` in two tiles side by side, of which the darker one makes the part."""
    folder = sealed_bundle.folder
    onnx.save(_pooled(onnx.load(str(sealed_bundle.model))), str(sealed_bundle.model))
    tiles = {"tiles": Tiles(columns=N_TILES, overlap=0)}
    write_model(folder / "preprocess.json", sealed_bundle.preprocess.model_copy(update=tiles))
    pooled_provenance = sealed_bundle.provenance.model_copy(update={"pooling": "top_1"})
    write_model(folder / "provenance.json", pooled_provenance)
    seal(folder)
    return open_bundle(folder)


def _pooled(model: onnx.ModelProto) -> onnx.ModelProto:
    graph = model.graph
    for node in graph.node:
        node.output[:] = ["tiles" if name == "logits" else name for name in node.output]
    numbers = {"by_part": [-1, N_TILES, 2], "bad": 1}
    for name, value in numbers.items():
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), name))
    graph.node.extend(
        [
            helper.make_node("Reshape", ["tiles", "by_part"], ["parts"]),
            helper.make_node("ReduceMax", ["parts"], ["logits"], axes=[1], keepdims=0),
            helper.make_node("Gather", ["parts", "bad"], ["score"], axis=2),
            helper.make_node("Softmax", ["score"], ["contributions"], axis=1),
        ]
    )
    kept = [output for output in graph.output if output.name != "logits"]
    del graph.output[:]
    of_parts = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["P", n])
        for name, n in (("logits", 2), ("contributions", N_TILES))
    ]
    graph.output.extend([*of_parts, *kept])
    onnx.checker.check_model(model)
    return model
