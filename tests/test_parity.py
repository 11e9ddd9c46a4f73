"""What was trained is what runs: the same pixels and the same answers on both sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.contracts.bundle import Bundle, OperatingPoint, Provenance, Range, Reference
from pipeline.contracts.spec import PreprocessSpec
from pipeline.datasets.adapters import elpv
from pipeline.datasets.manifest_reader import read_manifest
from pipeline.datasets.shards import Shards
from pipeline.imaging import Pixels
from pipeline.imaging.codec import encode_png, read
from pipeline.imaging.prepare import Preparation
from pipeline.inference.inspector import Inspector
from pipeline.inference.predictor import Prediction, session
from pipeline.stages import ingest, preprocess
from pipeline.training.architectures import build
from pipeline.training.export import PARITY, export, join, parity
from pipeline.training.head_modules import KernelPart, MeanHead
from pipeline.training.network import Features, Network
from tests.stages.conftest import TAXONOMY, copy_cells, folder_of

RING = {"outer_px": 140, "inner_px": 60}
LEVEL = {"by": "contour", "part": "brighter", "upright": True, "margin": 0.1}
GOLDEN = {"by": "template", "reference": "golden", "max_turn_deg": 3}
FACE = {
    "corners_px": [[20, 10], [280, 30], [270, 290], [10, 280]],
    "width_px": 200,
    "height_px": 220,
}
SPECS = [
    {"colour": "grey", "width_px": 300, "height_px": 300},
    {"width_px": 96, "height_px": 64, "interpolation": "linear"},
    {
        "width_px": 80,
        "height_px": 128,
        "fit": "letterbox",
        "roi": {"x_px": 10, "y_px": 20, "width_px": 200, "height_px": 250},
        "clahe": {},
    },
    {"width_px": 64, "height_px": 64, "flat_field": {"reference": "flat"}},
    {"width_px": 64, "height_px": 64, "rectify": FACE},
    {"colour": "grey", "width_px": 64, "height_px": 64, "locate": LEVEL},
    {"colour": "grey", "width_px": 64, "height_px": 64, "locate": GOLDEN},
    {"width_px": 128, "height_px": 32, "unwrap": RING},
    {"width_px": 64, "height_px": 48, "tiles": {"rows": 3, "columns": 2, "overlap": 0.2}},
    {
        "flat_field": {"reference": "flat"},
        "roi": {"x_px": 0, "y_px": 2, "width_px": 298, "height_px": 296},
        "rectify": FACE,
        "locate": LEVEL,
        "unwrap": {"outer_px": 30},
        "colour": "grey",
        "tiles": {"columns": 2},
        "width_px": 48,
        "height_px": 32,
        "fit": "letterbox",
        "clahe": {},
    },
]


@pytest.fixture(scope="module")
def cells() -> list[Path]:
    config = elpv.Config(type="elpv")
    return [elpv.root(config) / s.path for s in elpv.read(config)[::400]]


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("parity")
    copy_cells(home / "images", per_class=8)
    (home / "data/ingest").mkdir(parents=True)
    light = np.tile(np.linspace(120, 240, 300), (300, 1)).astype(np.uint8)
    (home / "flat.png").write_bytes(encode_png(light[:, :, None]))
    whole = read(sorted((home / "images/good").glob("*.png"))[0])
    (home / "golden.png").write_bytes(encode_png(np.ascontiguousarray(whole[20:270, 20:280])))
    references = {"flat": home / "flat.png", "golden": home / "golden.png"}
    config = folder_of(home / "images").model_copy(update={"references": references})
    ingest.run(config, TAXONOMY, home / "data/ingest")
    return home / "data"


@pytest.mark.parametrize("given", SPECS)
def test_training_sees_bit_for_bit_what_the_station_shows_the_network(
    given: dict[str, object], ingested: Path, tmp_path: Path
) -> None:
    spec = PreprocessSpec.model_validate(given)
    preprocess.run(preprocess.Config(spec=spec, sheet_per_class=1), ingested, tmp_path)
    trained_on, data = Shards(tmp_path), read_manifest(ingested / "ingest")
    assert len(trained_on) == spec.n_tiles * len(data.table)
    shown: list[Pixels] = []
    station = station_that_notes_what_its_network_sees(spec, tmp_path, shown)
    for row in range(len(data.table)):
        station.inspect(data.pixels(row))
        tiles = np.arange(row * spec.n_tiles, (row + 1) * spec.n_tiles)
        np.testing.assert_array_equal(shown[-1], trained_on.stack(tiles))


def station_that_notes_what_its_network_sees(
    spec: PreprocessSpec, folder: Path, shown: list[Pixels]
) -> Inspector:
    """An inspector with the given spec whose network only writes down its input."""

    class Noting:
        def predict(self, images: Pixels) -> Prediction:
            shown.append(images.copy())
            doubt = np.full((len(images), 2), 0.5, np.float32)
            return Prediction(doubt, np.zeros((len(images), 2), np.float32))

    wide = Range(low=0, median=0, high=1e9)
    bundle = Bundle(
        folder=folder,
        sha256="",
        preprocess=spec,
        taxonomy=TAXONOMY,
        operating_point=OperatingPoint(pass_below=0.1, fail_from=0.9),
        reference=Reference(n_images=1, brightness=wide, contrast=wide, sharpness=wide),
        provenance=Provenance(recipe="", architecture="", method="", weights="", n_train=1),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.inference.inspector.Predictor", lambda *_: Noting())
        return Inspector(bundle)


def images_of(cells: list[Path], side: int) -> Pixels:
    spec = PreprocessSpec(colour="rgb", width_px=side, height_px=side)
    return np.concatenate([Preparation(spec)(read(path)).images for path in cells])


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "efficientnet_b0", "resnet18"])
def test_a_network_at_two_scales_gives_the_same_in_torch_and_in_onnx_runtime(
    name: str, cells: list[Path], tmp_path: Path
) -> None:
    images = images_of(cells, 64)
    features = Features(build(name, "none", seed=0), (64, 64), (1.0, 0.5)).eval()
    graph, tail, whole = (tmp_path / f"{n}.onnx" for n in ("features", "head", "whole"))
    export(features, images[0], "image", ["features"], graph)
    with torch.inference_mode():
        width = features(torch.from_numpy(images)).shape[1]
    rng = torch.Generator().manual_seed(0)
    landmarks, weight = torch.randn(16, 8, generator=rng), torch.randn(16, 3, generator=rng)
    head = MeanHead(
        torch.randn(width, 8, generator=rng) / width,
        torch.zeros(8),
        torch.randn(8, 3, generator=rng),
        torch.zeros(3),
        [KernelPart(torch.tensor(1.0), landmarks, weight)],
    )
    export(head, np.zeros(width, np.float32), "features", ["logits", "embedding"], tail)
    join(graph, tail, ["logits", "embedding"], whole)
    assert parity(Network(features, head), whole, images) <= PARITY
    assert [o.shape for o in session(whole).run(None, {"image": images})] == [
        (len(images), 3),
        (len(images), 8),
    ]
