"""Evaluate: every figure is of the sealed bundle, judged as the station judges."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from pipeline.contracts.bundle import OperatingPoint, open_bundle, seal
from pipeline.contracts.evaluation import Evaluation
from pipeline.datasets import golden, scores
from pipeline.datasets.manifest import TABLE
from pipeline.datasets.manifest_reader import read_manifest
from pipeline.errors import BundleError, DataError
from pipeline.evaluation.champion import Champion
from pipeline.files import read_model, write_model
from pipeline.imaging import Pixels
from pipeline.imaging.codec import read
from pipeline.inference.inspector import Inspector
from pipeline.inference.trial import load
from pipeline.metrics.rates import Rate
from pipeline.stages import evaluate
from tests.stages.conftest import EVALUATE, Ran

pytestmark = pytest.mark.slow


@pytest.fixture
def metrics(ran: Ran) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ran.data / "evaluate/metrics.json").read_bytes())
    return found


@pytest.fixture
def predictions(ran: Ran) -> pd.DataFrame:
    return pd.read_parquet(ran.data / "evaluate/predictions.parquet")


RATES = [
    "auroc",
    "average_precision",
    "accuracy",
    "macro_f1",
    "escape_rate",
    "overkill_rate",
    "review_rate",
]


def test_metrics_json_has_the_keys_that_others_read(metrics: dict[str, Any]) -> None:
    assert {*RATES, "ece", "latency_ms_p50", "latency_ms_p99", "n_test"} <= set(metrics)


def test_the_final_head_is_compared_with_those_of_the_folds(metrics: dict[str, Any]) -> None:
    assert {"val_escapes_beyond_folds", "val_overkill_beyond_folds"} <= set(metrics)


def test_metrics_json_holds_numbers_only(metrics: dict[str, Any]) -> None:
    """What DVC compares fits a terminal; None stands where a figure is not defined."""
    for name, value in flat(metrics):
        numbers = value if isinstance(value, list) else [value]
        assert all(isinstance(v, int | float) for v in numbers), name
        assert not any(isinstance(v, bool) for v in numbers), name


def flat(metrics: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value), as DVC shows them."""
    for key, value in metrics.items():
        if isinstance(value, dict):
            yield from flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


@pytest.fixture
def found(ran: Ran) -> Evaluation:
    return read_model(ran.data / "evaluate/evaluation.json", Evaluation)


@pytest.mark.parametrize("rate", RATES)
def test_every_rate_lies_within_its_interval(metrics: dict[str, Any], rate: str) -> None:
    low, high = metrics[f"{rate}_ci95"]
    assert 0 <= low <= metrics[rate] <= high <= 1


def test_the_figures_are_those_of_the_predictions(
    metrics: dict[str, Any], predictions: pd.DataFrame
) -> None:
    bad = predictions["label"] == "defective"
    assert metrics["auroc"] == pytest.approx(roc_auc_score(bad, predictions["p_defective"]))
    assert metrics["accuracy"] == accuracy_score(bad, predictions["p_defective"] > 0.5)
    passed, failed = predictions["verdict"] == "PASS", predictions["verdict"] == "FAIL"
    assert metrics["escape_rate"] == passed[bad].mean()
    assert metrics["overkill_rate"] == failed[~bad].mean()
    assert metrics["n_test"] == len(predictions)


def test_only_test_parts_are_reported(ran: Ran, predictions: pd.DataFrame) -> None:
    table = read_manifest(ran.data / "ingest").table
    held_out = table.loc[table["split"] == "test", "sample_id"]
    assert sorted(predictions["sample_id"]) == sorted(held_out)


def test_the_sealed_bundle_repeats_the_reported_verdicts_from_the_kept_frames(
    ran: Ran, predictions: pd.DataFrame
) -> None:
    bundle = open_bundle(ran.data / "evaluate/bundle")
    inspector = Inspector(bundle)
    for row in range(0, len(predictions), 5):
        name = str(predictions["sample_id"].iat[row])
        decision = inspector.inspect(read(ran.data / "evaluate/held_out" / name)).decision
        assert decision.verdict == predictions["verdict"].iat[row]
        assert decision.defect_score == pytest.approx(
            predictions["defect_score"].iat[row], abs=1e-4
        )


def test_the_limits_in_the_bundle_are_those_reported(ran: Ran, metrics: dict[str, Any]) -> None:
    point = open_bundle(ran.data / "evaluate/bundle").operating_point
    assert point.model_dump() == metrics["operating_point"]


def test_every_plot_has_its_points_as_csv(ran: Ran) -> None:
    plots = ran.data / "evaluate/plots"
    for name in ("roc", "pr", "confusion"):
        assert len(pd.read_csv(plots / f"{name}.csv")) > 2
        assert read(plots / f"{name}.png").std() > 10


def test_test_images_are_kept_byte_for_byte_for_replay(ran: Ran) -> None:
    data = read_manifest(ran.data / "ingest")
    folder = ran.data / "evaluate/held_out"
    kept = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.png")}
    rows = np.flatnonzero(data.table["split"] == "test")
    assert kept == {str(data.table["path"].iat[row]): data.image(row) for row in rows.tolist()}


def test_a_promise_that_few_parts_cannot_prove_is_reported_in_words(found: Evaluation) -> None:
    assert found.promise["supported"] is False
    assert any("bad validation parts cannot prove" in note for note in found.notes)


def test_an_untrained_recipe_is_not_evaluated(ran: Ran, tmp_path: Path) -> None:
    data = tmp_path / "cells"
    (data / "train/bundle").mkdir(parents=True)
    (data / "ingest").symlink_to(ran.data / "ingest")
    with pytest.raises(BundleError, match=r"has no model\.onnx; the bundle is incomplete"):
        evaluate.run(evaluate.Config(), data, tmp_path / "out")


@pytest.fixture
def copied(ran: Ran, tmp_path: Path) -> Path:
    """The recipe's data, to be altered."""
    return Path(shutil.copytree(ran.data, tmp_path / "cells"))


def test_a_changed_test_image_is_not_judged(copied: Path, tmp_path: Path) -> None:
    file = copied / "ingest" / TABLE
    table = pd.read_parquet(file)
    victim = table.index[table["split"] == "test"][0]
    table.loc[victim, "sha256"] = "0" * 64  # what the image was when it was ingested
    table.to_parquet(file)
    with pytest.raises(DataError, match="has changed since it was ingested; run dvc repro"):
        evaluate.run(evaluate.Config(), copied, tmp_path / "out")


# What the line may change, the heat maps and all that is drawn take most of the time; where they
# are not asked about they are left to `ran`.
QUICK = evaluate.Config.model_validate(
    {"bootstrap_draws": 100, "robustness": {"parts": 0}, "explanation": {"each": 0}}
)
ALL_PASS = {"policy": {"type": "fixed", "pass_below": 1.1, "fail_from": 1.1}}


def evaluated(
    data: Path, config: evaluate.Config = QUICK, champion: Champion | None = None
) -> tuple[Path, Evaluation]:
    out = data.parent / "out"
    out.mkdir()
    evaluate.run(config, data, out, champion=champion)
    return out, read_model(out / "evaluation.json", Evaluation)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """An evaluation that writes neither report.html nor plots."""
    monkeypatch.setattr(evaluate, "draw_plots", lambda *_: None)
    monkeypatch.setattr(evaluate, "write_report", lambda *_: None)


def failed(found: Evaluation) -> set[str]:
    return {check.name for check in found.gate.checks if check.state == "failed"}


@pytest.mark.usefixtures("undrawn")
def test_doubts_about_a_teacher_stand_in_the_notes(copied: Path) -> None:
    report = copied / "train/report.json"
    told = {**json.loads(report.read_bytes()), "doubts": ["the teacher's split is another"]}
    report.write_text(json.dumps(told))
    out = copied.parent / "out"
    out.mkdir()
    said = evaluate.run(QUICK, copied, out)
    assert "the teacher's split is another" in said.lines


@pytest.mark.usefixtures("undrawn")
def test_a_golden_part_that_is_missed_blocks_the_gate(copied: Path) -> None:
    table = read_manifest(copied / "ingest").table
    bad = table.loc[table["label"] == "defective", "sample_id"].iloc[0]
    golden.write(copied / "ingest", [bad])
    config = QUICK.model_validate({**QUICK.model_dump(), **ALL_PASS})
    _, found = evaluated(copied, config)
    assert found.golden is not None
    assert [(m.sample_id, m.wanted, m.verdict) for m in found.golden.misses] == [
        (bad, "defective", "PASS")
    ]
    assert "golden" in failed(found)
    assert not found.gate.passed


@pytest.mark.usefixtures("undrawn")
def test_the_champion_is_judged_on_the_same_parts_by_its_own_limits(copied: Path) -> None:
    theirs = Path(shutil.copytree(copied / "evaluate/bundle", copied.parent / "champion"))
    write_model(theirs / "operating_point.json", OperatingPoint(pass_below=1.1, fail_from=1.1))
    seal(theirs)
    _, found = evaluated(copied, champion=Champion("cells/7", open_bundle(theirs)))
    compared = found.comparison
    assert (compared.champion, compared.not_run) == ("cells/7", "")
    assert compared.figures["escape_rate"].champion == 1.0
    assert compared.figures["auroc"].value == 0.0


@pytest.mark.usefixtures("undrawn")
def test_a_model_of_shuffled_labels_fails_the_gate(copied: Path) -> None:
    path = copied / "ingest/manifest.parquet"
    table = pd.read_parquet(path)
    rows = (table["split"] == "test").to_numpy()
    shuffled = np.random.default_rng(3).permutation(table.loc[rows, "label"].to_numpy())
    table.loc[rows, "label"] = shuffled
    table.to_parquet(path, index=False)
    _, found = evaluated(copied)
    assert "ranking" in failed(found)


@pytest.mark.parametrize(
    ("gone", "figure"), [("defective", "escape_rate"), ("good", "overkill_rate")]
)
def test_a_test_split_without_one_kind_of_part_is_measured_as_far_as_it_goes(
    copied: Path, gone: str, figure: str
) -> None:
    path = copied / "ingest/manifest.parquet"
    table = pd.read_parquet(path)
    table.loc[(table["split"] == "test") & (table["label"] == gone), "split"] = "val"
    table.to_parquet(path, index=False)
    out, found = evaluated(copied, EVALUATE)
    metrics = json.loads((out / "metrics.json").read_bytes())
    assert metrics[figure] is None
    assert metrics["auroc"] is None
    assert any(f"no part of class {gone}" in note for note in found.notes)
    assert not found.gate.passed
    assert b"<html" in (out / "report.html").read_bytes()


def test_a_test_split_without_any_part_is_refused(copied: Path) -> None:
    path = copied / "ingest/manifest.parquet"
    table = pd.read_parquet(path)
    table.loc[table["split"] == "test", "split"] = "val"
    table.to_parquet(path, index=False)
    with pytest.raises(DataError, match="nothing can be reported"):
        evaluate.run(EVALUATE, copied, copied.parent / "out")


def test_report_and_card_lie_beside_the_figures(ran: Ran, metrics: dict[str, Any]) -> None:
    page = (ran.data / "evaluate/report.html").read_text("utf-8")
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert f"{metrics['auroc']:.3f}" in page
    assert (ran.data / "evaluate/MODEL_CARD.md").read_text("utf-8").startswith("# ")


def test_the_lights_of_the_line_are_tried(ran: Ran) -> None:
    found = read_model(ran.data / "evaluate/evaluation.json", Evaluation)
    assert found.robustness is not None
    assert {c.change for c in found.robustness.changes} >= {"blur", "noise", "rotation"}
    assert found.explained is not None
    assert found.explained.n >= 2


def test_every_share_on_the_page_is_written_by_one_rule(ran: Ran) -> None:
    page = (ran.data / "evaluate/report.html").read_text("utf-8")
    text = re.sub(r"<style>.*?</style>|<script.*?</script>|<[^>]*>", " ", page, flags=re.DOTALL)
    assert re.findall(r"[0-9]%", text) == []
    assert re.findall(r"[0-9] %|[0-9]\u00a0%", text)


@pytest.mark.usefixtures("undrawn")
def test_intervals_of_shares_know_the_groups_of_the_parts(copied: Path) -> None:
    """All test parts of two modules: they prove far less than as many single cells."""
    path = copied / "ingest/manifest.parquet"
    table = pd.read_parquet(path)
    rows = np.flatnonzero(table["split"] == "test")
    table.loc[rows, "group"] = [f"module-{i % 2}" for i in range(len(rows))]
    table.to_parquet(path, index=False)
    out, found = evaluated(copied)
    metrics = json.loads((out / "metrics.json").read_bytes())
    low, high = metrics["accuracy_ci95"]
    k, n = round(metrics["accuracy"] * len(rows)), len(rows)
    alone = Rate(k, n).ci95
    assert alone is not None
    assert high - low > 1.5 * (alone[1] - alone[0])
    assert any("count parts by what their groups are worth" in note for note in found.notes)
    by_class = next(s for s in found.slices.slices if s.by == "class")
    own = Rate(by_class.accuracy.k, by_class.accuracy.n).ci95
    assert own is not None
    assert by_class.accuracy.low is not None
    assert by_class.accuracy.low < own[0]


def test_validation_parts_that_chose_the_epoch_choose_no_limit(copied: Path) -> None:
    table = read_manifest(copied / "ingest").table
    held = table.loc[table["split"] == "val", "sample_id"].tolist()
    (copied / "train" / scores.OUT_OF_FOLD).unlink()
    aside = tuple(held[::2])
    chose = scores.Consulted(("epoch", "temperature"), set_aside=aside)
    chose.write(copied / "train" / scores.CONSULTED)
    out, found = evaluated(copied)
    chosen_on = found.limits_from
    assert chosen_on["n_validation"] == len(aside)
    assert chosen_on["n_kept_out"] == len(held) - len(aside)
    assert str(chosen_on["said"]) in (out / "report.html").read_text("utf-8")
    card = (out / "MODEL_CARD.md").read_text("utf-8")
    assert str(chosen_on["said"]) in card.replace("\\", "")


@pytest.mark.usefixtures("undrawn")
def test_limits_by_the_parts_that_chose_the_epoch_come_with_a_warning(copied: Path) -> None:
    scores.Consulted(("epoch", "temperature")).write(copied / "train" / scores.CONSULTED)
    _, found = evaluated(copied)
    assert any("had chosen the epoch and temperature of the model" in n for n in found.notes)
    assert "which had chosen the epoch and temperature too" in str(found.limits_from["said"])


def test_the_parts_that_chose_limits_of_a_probe_are_reported(found: Evaluation) -> None:
    chosen_on = found.limits_from
    assert isinstance(n := chosen_on["n_out_of_fold"], int)
    assert n > 0
    assert chosen_on["by_validation"] == ()
    assert "temperature" in tuple(chosen_on["by_out_of_fold"])  # type: ignore[arg-type]
    assert not any("had chosen" in note for note in found.notes)


def test_the_report_names_its_data_and_its_network(ran: Ran) -> None:
    page = (ran.data / "evaluate/report.html").read_text("utf-8")
    n = len(read_manifest(ran.data / "ingest").table)
    for said in ("Cells: may this model", f"{n}: ", "tf_efficientnet_lite0", str(ran.images)):
        assert said in page
    assert "licence: not known" in (ran.data / "evaluate/MODEL_CARD.md").read_text("utf-8")


def test_bundle_knows_how_far_from_training_a_picture_may_lie(ran: Ran) -> None:
    bundle = open_bundle(ran.data / "evaluate/bundle")
    data = read_manifest(ran.data / "ingest")
    known = bundle.novelty
    assert known is not None
    assert known.limit is not None
    assert known.n_chosen_on == int((data.table["split"] == "val").sum())
    inspector = Inspector(bundle, threads=1)

    def novelty(pixels: Pixels) -> float:
        seen = inspector.inspect(pixels)
        assert seen.novelty is not None
        return seen.novelty

    held = np.flatnonzero(data.table["split"] == "val")
    assert max(novelty(data.pixels(int(i))) for i in held) <= known.limit
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    assert known.median is not None
    assert novelty(noise) > known.median


def test_the_bundle_carries_a_test_part_and_its_verdict(
    ran: Ran, predictions: pd.DataFrame
) -> None:
    bundle = open_bundle(ran.data / "evaluate/bundle")
    golden_frame = bundle.golden
    assert golden_frame is not None
    (row,) = predictions.query("sample_id == @golden_frame.sample_id").to_dict("records")
    picture = (bundle.folder / golden_frame.file).read_bytes()
    assert picture == (ran.images / golden_frame.sample_id).read_bytes()
    assert golden_frame.verdict == row["verdict"]
    assert golden_frame.probabilities["defective"] == round(float(row["p_defective"]), 4)
    load(bundle)


def test_what_is_registered_carries_the_golden_frame(ran: Ran, tmp_path: Path) -> None:
    pulled = ran.registry.pull(ran.registry.version("cells", 1), tmp_path / "pulled")
    assert pulled.golden == open_bundle(ran.data / "evaluate/bundle").golden


@pytest.mark.usefixtures("undrawn")
def test_the_same_evaluation_again_gives_the_same_bundle(ran: Ran, copied: Path) -> None:
    again, _ = evaluated(copied)
    assert open_bundle(again / "bundle").sha256 == open_bundle(ran.data / "evaluate/bundle").sha256
