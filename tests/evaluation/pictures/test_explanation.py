"""Which parts get a heat map, what stands beside it, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.contracts.bundle import OperatingPoint
from pipeline.contracts.records import Decision, Verdict
from pipeline.contracts.spec import PreprocessSpec, Tiles
from pipeline.contracts.taxonomy import Disposition, PartClass, Taxonomy
from pipeline.datasets.manifest import Manifest
from pipeline.errors import TrainingError
from pipeline.evaluation.pictures.explanation import Explanation, ExplanationRules, explain
from pipeline.evaluation.pictures.galleries import select
from pipeline.evaluation.predictions import PartPredictions
from pipeline.files import write_model
from pipeline.imaging import Pixels
from pipeline.imaging.prepare import Preparation
from pipeline.imaging.quality import measure
from pipeline.inference.inspector import Inspection
from pipeline.inference.predictor import softmax
from pipeline.training import architectures
from pipeline.training.attribution import logits, pooled
from pipeline.training.checkpoint import BackboneRecord, keep, rebuild
from pipeline.training.head_modules import LinearHead
from pipeline.training.network import Features, Network
from pipeline.training.tile_pooling import TilePooling

SIDE_PX, N = 32, 8
SPEC = PreprocessSpec(colour="grey", width_px=SIDE_PX, height_px=SIDE_PX)
PASS, FAIL, REVIEW = Verdict.PASS, Verdict.FAIL, Verdict.REVIEW
# Good and bad parts in turn; a bad one has a bright square.
LABELS = np.array([0, 1] * (N // 2))
POINT = OperatingPoint(pass_below=0.3, fail_from=0.7)
VERDICTS = [PASS, FAIL, FAIL, PASS, PASS, FAIL, REVIEW, REVIEW]


def taxonomy(good: Disposition = Disposition.PASS) -> Taxonomy:
    return Taxonomy(
        classes=(
            PartClass(name="good", disposition=good),
            PartClass(name="spotted", disposition=Disposition.SCRAP),
        )
    )


@dataclass(frozen=True)
class Frames(Manifest):
    """A manifest whose frames are drawn; those behind the test parts are good training parts."""

    masked: bool = True
    boxed: bool = False

    def pixels(self, row: int) -> Pixels:
        rng = np.random.default_rng(row)
        frame = rng.integers(80, 110, (64, 64, 1), dtype=np.uint8).repeat(3, axis=2)
        frame[self._square(row) > 0] = 255
        return frame

    def mask(self, row: int) -> Pixels | None:
        return self._square(row) if self.masked else None

    def marked(self, row: int) -> Pixels | None:
        return self._square(row) if self.boxed else super().marked(row)

    def _square(self, row: int) -> Pixels:
        mask = np.zeros((64, 64), np.uint8)
        if row < N and LABELS[row]:
            mask[40:56, 8:24] = 255
        return mask


@dataclass(frozen=True)
class Recipe:
    trained: Path
    data: Frames
    test: PartPredictions


def recipe(home: Path, spec: PreprocessSpec = SPEC, classes: Taxonomy | None = None) -> Recipe:
    """A trained folder, a data set of N test parts and four training parts, and its verdicts."""
    classes = classes or taxonomy()
    network = _trained(home, spec)
    rows = N + 4
    table = pd.DataFrame(
        {
            "sample_id": [f"tray/part-{i}.png" for i in range(rows)],
            "label": [classes.names[k] for k in LABELS] + ["good"] * 4,
            "split": ["test"] * N + ["train"] * 4,
        }
    )
    data = Frames(table, classes, Path(), {})
    preparation = Preparation(spec)
    inspections = []
    for row in range(N):
        images = preparation(data.pixels(row)).images
        tile = len(images) - 1
        said = softmax(logits(network, images))[tile]
        bad = float(said[1])
        decision = Decision(VERDICTS[row], "spotted", bad, "by the test")
        quality = measure(images[tile])
        inspections.append(
            Inspection(
                decision, said, said, quality, tile, None, None, 1.0, 0.0, 0.0, 0.0, bad, bad, False
            )
        )
    return Recipe(home, data, PartPredictions(np.arange(N), LABELS, inspections, classes))


def _trained(home: Path, spec: PreprocessSpec) -> Network:
    """LeNet with random weights; the head likes what is bright anywhere."""
    backbone = BackboneRecord(architecture="lenet5", scales=(1.0,))
    size_px = spec.shape[:2]
    features = Features(architectures.build("lenet5", "none", seed=0), size_px, backbone.scales)
    width = 3 * (6 + 16 + 120)
    rng = torch.Generator().manual_seed(1)
    projection = torch.randn((width, 4), generator=rng) / width**0.5
    head = LinearHead(
        projection, torch.zeros(4), torch.randn((4, 2), generator=rng), torch.zeros(2)
    )
    network = Network(features, head).eval()
    (home / "bundle").mkdir(parents=True)
    keep(home, network, [backbone], size_px)
    write_model(home / "bundle" / "preprocess.json", spec)
    return network


@pytest.fixture
def made(tmp_path: Path) -> Recipe:
    return recipe(tmp_path / "train")


def explained(made: Recipe, each: int = 10, data: Manifest | None = None) -> Explanation:
    galleries = select(made.test, POINT)
    return explain(
        made.trained, data or made.data, made.test, ExplanationRules(each=each), galleries
    )


def test_escapes_overkills_and_right_verdicts_have_heat_maps_and_reviews_none(made: Recipe) -> None:
    found = explained(made)
    assert sorted(found.heats) == [0, 1, 2, 3, 4, 5]
    assert found.summary is not None
    assert found.summary.n == 6


def test_the_heat_lies_on_what_the_network_saw(made: Recipe) -> None:
    part = Preparation(SPEC)(made.data.pixels(3)).images[0]
    heat = explained(made).heats[3]
    assert heat.shape == (SIDE_PX, SIDE_PX, 3)
    assert (heat != part).any()
    assert np.median(np.abs(heat.astype(int) - part)) < 20


def test_no_more_than_were_asked_for_are_drawn(made: Recipe) -> None:
    assert len(explained(made, each=1).heats) == 4


def test_nothing_is_drawn_where_nothing_was_asked_for(made: Recipe) -> None:
    found = explained(made, each=0)
    assert (found.summary, found.heats) == (None, {})


def test_the_share_inside_the_mask_is_measured_beside_chance(made: Recipe) -> None:
    said = explained(made).summary
    assert said is not None
    assert said.n_masks == 3
    assert said.area_of_mask == pytest.approx(1 / 16)
    assert said.inside_mask is not None
    assert said.inside_mask > 1.5 / 16


def test_without_masks_no_share_is_given(made: Recipe) -> None:
    data = replace(made.data, masked=False)
    said = explained(made, data=data).summary
    assert said is not None
    assert (said.inside_mask, said.area_of_mask, said.n_masks) == (None, None, 0)


def test_boxes_do_where_there_is_no_mask(made: Recipe) -> None:
    data = replace(made.data, masked=False, boxed=True)
    found = explained(made, data=data).summary
    assert found is not None
    assert found.n_masks == 3
    assert found.area_of_mask == pytest.approx(1 / 16)


def test_of_several_tiles_the_one_that_decided_is_explained(tmp_path: Path) -> None:
    tiles = Tiles(rows=2, columns=2, overlap=0)
    made = recipe(tmp_path / "train", SPEC.model_copy(update={"tiles": tiles}))
    heat = explained(made).heats[3]
    part = made.data.pixels(3)[32:, 32:]
    assert np.median(np.abs(heat.astype(int) - part)) < 20


def test_where_tiles_are_pooled_the_whole_part_is_explained(tmp_path: Path) -> None:
    spec = SPEC.model_copy(update={"tiles": Tiles(rows=2, columns=2, overlap=0)})
    made, pooling = recipe(tmp_path / "train", spec), TilePooling(0, (True, False))
    network, preparation = rebuild(made.trained), Preparation(spec)
    backbone = BackboneRecord(architecture="lenet5", scales=(1.0,))
    keep(made.trained, network, [backbone], spec.shape[:2], pooling)
    data = replace(made.data, masked=False)
    inspections = []
    for row, seen in enumerate(made.test.inspections):
        tiles = logits(network, preparation(data.pixels(row)).images)
        of_part = softmax(pooled(tiles, pooling, 4)[0])[0]
        inspections.append(replace(seen, probabilities=of_part))
    test = replace(made.test, inspections=inspections)
    heat = explained(replace(made, data=data, test=test)).heats[3]
    frame = data.pixels(3)
    assert heat.shape == frame.shape  # its four tiles side by side
    assert np.median(np.abs(heat.astype(int) - frame)) < 20


def test_where_every_class_is_bad_the_wrongly_named_are_explained(tmp_path: Path) -> None:
    made = recipe(tmp_path / "train", classes=taxonomy(good=Disposition.REWORK))
    assert sorted(explained(made, each=N).heats) == list(range(N))


def test_weights_of_another_training_do_not_explain_this_bundle(
    made: Recipe, tmp_path: Path
) -> None:
    other = [
        replace(i, probabilities=1 - i.probabilities) if i.probabilities.max() > 0.51 else i
        for i in made.test.inspections
    ]
    with pytest.raises(TrainingError, match="holds another network than its bundle"):
        explained(replace(made, test=replace(made.test, inspections=other)))
