"""The graph of a bundle, and what it is refused for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import TensorProto, helper
from pydantic import BaseModel

from pipeline.contracts.bundle import MODEL, Bundle, open_bundle, seal
from pipeline.contracts.spec import PreprocessSpec
from pipeline.contracts.taxonomy import Disposition, PartClass, Taxonomy
from pipeline.errors import BundleError
from pipeline.files import write_model
from pipeline.inference.predictor import Predictor, softmax

LOGITS = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.floats(-(2.0**99), 2.0**99, width=32),
)


def with_part(bundle: Bundle, name: str, part: BaseModel) -> Bundle:
    """The same graph with another part, sealed again."""
    write_model(bundle.folder / name, part)
    seal(bundle.folder)
    return open_bundle(bundle.folder)


def even(*values: int) -> npt.NDArray[np.uint8]:
    """One even grey image for each value."""
    return np.stack([np.full((16, 16, 1), value, np.uint8) for value in values])


@settings(max_examples=80, deadline=None, derandomize=True)
@given(LOGITS)
def test_softmax_rows_sum_to_one_for_any_finite_logits(logits: npt.NDArray[np.float32]) -> None:
    probabilities = softmax(logits)
    assert probabilities.dtype == np.float32
    assert probabilities.min() >= 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_softmax_is_that_of_the_textbook() -> None:
    logits = np.log(np.array([[1, 2, 5], [3, 3, 2]], np.float32))
    expected = [[0.125, 0.25, 0.625], [0.375, 0.375, 0.25]]
    np.testing.assert_allclose(softmax(logits), expected, rtol=1e-5)


def test_a_batch_gives_a_row_an_image(sealed_bundle: Bundle) -> None:
    prediction = Predictor(sealed_bundle).predict(even(200, 128, 50))
    assert prediction.probabilities.shape == (3, 2)
    assert prediction.embedding.shape == (3, 16)
    assert prediction.probabilities.dtype == prediction.embedding.dtype == np.float32
    expected = [1 / (1 + np.exp(20 - 40 * v / 255)) for v in (200, 128, 50)]
    np.testing.assert_allclose(prediction.probabilities[:, 0], expected, rtol=1e-4)


def test_a_graph_that_shows_where_a_score_comes_from_gives_its_map(sealed_bundle: Bundle) -> None:
    assert Predictor(sealed_bundle).heat(even(50)) is None
    graph = onnx.load(str(sealed_bundle.model))
    graph.graph.node.append(
        helper.make_node("ReduceMean", ["pixels"], ["heat"], axes=[3], keepdims=0)
    )
    shape: list[str | int | None] = ["N", 16, 16]
    graph.graph.output.append(helper.make_tensor_value_info("heat", TensorProto.FLOAT, shape))
    onnx.save(graph, str(sealed_bundle.model))
    seal(sealed_bundle.folder)
    heat = Predictor(open_bundle(sealed_bundle.folder)).heat(even(50, 60))
    assert heat is not None
    assert (heat.shape, float(heat[1, 3, 4])) == ((2, 16, 16), 60.0)


def test_an_image_is_judged_alike_alone_and_in_a_batch(sealed_bundle: Bundle) -> None:
    predictor = Predictor(sealed_bundle)
    batch = predictor.predict(even(130, 126, 90)).probabilities
    alone = [predictor.predict(even(v)).probabilities[0] for v in (130, 126, 90)]
    np.testing.assert_allclose(batch, alone, rtol=1e-6)


def test_a_graph_that_pools_gives_a_row_a_part_and_what_each_tile_adds(
    pooled_bundle: Bundle,
) -> None:
    prediction = Predictor(pooled_bundle).predict(even(200, 50, 200, 200))
    assert prediction.probabilities.shape == (2, 2)
    assert prediction.embedding.shape == (4, 16)
    assert prediction.contributions is not None
    np.testing.assert_allclose(prediction.contributions.sum(axis=1), 1, rtol=1e-5)
    assert prediction.contributions.argmax(axis=1)[0] == 1
    assert prediction.probabilities[0, 1] > 0.9 > 0.1 > prediction.probabilities[1, 1]


def test_a_graph_that_pools_in_a_bundle_that_promises_no_pooling_is_refused(
    pooled_bundle: Bundle,
) -> None:
    plain = pooled_bundle.provenance.model_copy(update={"pooling": ""})
    with pytest.raises(BundleError, match=r"provenance\.json promises no pooling of tiles"):
        Predictor(with_part(pooled_bundle, "provenance.json", plain))


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.int8])
def test_other_numbers_than_bytes_are_refused(sealed_bundle: Bundle, dtype: type) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        Predictor(sealed_bundle).predict(even(100).astype(dtype))


@pytest.mark.parametrize("shape", [(16, 16, 1), (1, 16, 16), (1, 8, 16, 1), (1, 16, 16, 3)])
def test_another_shape_is_refused(sealed_bundle: Bundle, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected uint8 N,\(16, 16, 1\)"):
        Predictor(sealed_bundle).predict(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    "spec",
    [
        PreprocessSpec(colour="grey", width_px=32, height_px=16),
        PreprocessSpec(colour="rgb", width_px=16, height_px=16),
    ],
    ids=["size", "colour"],
)
def test_a_graph_for_other_images_is_refused(sealed_bundle: Bundle, spec: PreprocessSpec) -> None:
    bundle = with_part(sealed_bundle, "preprocess.json", spec)
    with pytest.raises(BundleError, match=r"preprocess\.json promises image uint8"):
        Predictor(bundle)


def test_a_graph_for_another_number_of_classes_is_refused(sealed_bundle: Bundle) -> None:
    classes = tuple(PartClass(name=n, disposition=Disposition.SCRAP) for n in "abc")
    bundle = with_part(sealed_bundle, "taxonomy.json", Taxonomy(classes=classes))
    with pytest.raises(BundleError, match=r"taxonomy\.json has 3 classes"):
        Predictor(bundle)


def test_a_file_that_is_not_a_graph_is_refused_by_name(sealed_bundle: Bundle) -> None:
    sealed_bundle.model.write_bytes(b"no graph")
    seal(sealed_bundle.folder)
    with pytest.raises(BundleError, match=rf"{MODEL} does not load in ONNX Runtime"):
        Predictor(open_bundle(sealed_bundle.folder))
