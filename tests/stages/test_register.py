"""Register: one version for one bundle, whatever happens in between."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from pipeline import config
from pipeline.contracts.bundle import OperatingPoint, open_bundle, seal
from pipeline.contracts.evaluation import Check, CheckState, Evaluation, Gate
from pipeline.errors import BundleError, ConfigError, RegistryError
from pipeline.files import read_model, sha256, write_model
from pipeline.registry.decisions.review import Review
from pipeline.registry.store import Registry
from pipeline.stages import register
from tests.stages.conftest import Ran


def test_registration_json_has_the_keys_that_others_read(ran: Ran) -> None:
    said = json.loads((ran.data / "register/registration.json").read_bytes())
    assert set(said) == {"name", "version", "run_id", "bundle_sha256", "alias", "created"}
    assert (said["name"], said["version"], said["alias"]) == ("cells", 1, "challenger")
    assert said["bundle_sha256"] == open_bundle(ran.data / "evaluate/bundle").sha256


def test_running_again_never_makes_a_second_version(ran: Ran, tmp_path: Path) -> None:
    register.run(register.Config(), {}, {}, ran.registry, ran.data, tmp_path)
    first = (ran.data / "register/registration.json").read_bytes()
    assert (tmp_path / "registration.json").read_bytes() == first
    assert [v.version for v in ran.registry.versions("cells")] == [1]


def test_the_report_of_a_later_version_shows_the_trend(ran: Ran, tmp_path: Path) -> None:
    """The same model with other limits is a version of its own."""
    data = Path(shutil.copytree(ran.data, tmp_path / "cells"))
    registry = Registry(f"sqlite:///{tmp_path / 'mlflow.db'}")
    for number, shown in ((1, "Version 1 is the first."), (2, "The newest first")):
        out = tmp_path / str(number)
        out.mkdir()
        register.run(register.Config(), {}, {}, registry, data, out)
        report = (out / "report.html").read_text("utf-8")
        assert f"<dt>Version</dt> <dd>{number}</dd>" in report
        assert shown in report
        relimit(data)
    assert report.count('data-label="data set">the same') == 2


def relimit(data: Path) -> None:
    """Seal the bundle with limits at which nothing passes or fails, and judge its parts by them."""
    folder = data / "evaluate/bundle"
    point = OperatingPoint(pass_below=0.0, fail_from=1.1)
    write_model(folder / "operating_point.json", point)
    seal(folder)
    predictions = data / "evaluate/predictions.parquet"
    table = pd.read_parquet(predictions)
    table.assign(verdict="REVIEW").to_parquet(predictions, index=False)


def test_the_version_carries_the_figures_as_tags(ran: Ran) -> None:
    metrics = json.loads((ran.data / "evaluate/metrics.json").read_bytes())
    (version,) = ran.registry.versions("cells")
    assert version.tags["auroc"] == f"{metrics['auroc']:.4f}"
    assert version.tags["architecture"] == "tf_efficientnet_lite0"
    assert version.tags["manifest_sha256"] == sha256(ran.data / "ingest/manifest.parquet")


def test_a_station_can_pull_what_was_evaluated(ran: Ran, tmp_path: Path) -> None:
    (version,) = ran.registry.versions("cells")
    pulled = ran.registry.pull(version, tmp_path / "bundle")
    assert pulled.sha256 == open_bundle(ran.data / "evaluate/bundle").sha256


def test_a_bundle_altered_after_evaluation_is_not_registered(ran: Ran, tmp_path: Path) -> None:
    data = tmp_path / "cells"
    (data / "evaluate/bundle").mkdir(parents=True)
    for part in (ran.data / "evaluate/bundle").iterdir():
        (data / "evaluate/bundle" / part.name).write_bytes(part.read_bytes())
    (data / "evaluate/bundle/operating_point.json").write_text("{}")
    registry = Registry(f"sqlite:///{tmp_path / 'mlflow.db'}")
    with pytest.raises(BundleError, match=r"operating_point\.json was altered"):
        register.run(register.Config(), {}, {}, registry, data, tmp_path)
    assert not (tmp_path / "mlflow.db").exists()


def test_a_registry_that_does_not_answer_leaves_nothing_written(ran: Ran, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"http://127\.0\.0\.1:9 does not answer"):
        register.run(register.Config(), {}, {}, Registry("http://127.0.0.1:9"), ran.data, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def project(ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    conf = tmp_path / "conf/cells"
    conf.mkdir(parents=True)
    (conf / "register.yaml").write_text("tags: {plant: west}\n")
    (conf / "ingest.yaml").write_text("source: {type: elpv}\n")
    (conf / "train.yaml").write_text(yaml.safe_dump({"head": {"l2": 0.5}, "seed": 7}))
    (tmp_path / "data/cells").mkdir(parents=True)
    for stage in ("ingest", "train", "evaluate"):
        (tmp_path / "data/cells" / stage).symlink_to(ran.data / stage)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_experiment_is_not_registered(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "wild-idea")
    register.main(["register", "cells"])
    said = json.loads((project / "data/cells/register/registration.json").read_bytes())
    assert said == {"skipped": "experiment wild-idea"}
    assert not (project / "mlflow.db").exists()


def test_the_command_logs_the_recipes_settings_by_dotted_key(project: Path) -> None:
    register.main(["register", "cells"])
    from mlflow.tracking import MlflowClient

    (version,) = Registry(f"sqlite:///{project / 'mlflow.db'}").versions("cells")
    run = MlflowClient(f"sqlite:///{project / 'mlflow.db'}").get_run(version.run_id)
    assert run.data.params == {
        "ingest.source.type": "elpv",
        "train.head.l2": "0.5",
        "train.seed": "7",
    }
    assert version.tags["plant"] == "west"


def test_a_bundle_that_is_evaluated_again_shows_the_gates_result_now(
    ran: Ran, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(ran.data, tmp_path / "cells"))
    registry = Registry(f"sqlite:///{tmp_path / 'mlflow.db'}")
    register.run(register.Config(), {}, {}, registry, data, data / "register")
    judged = data / "evaluate/evaluation.json"
    found = read_model(judged, Evaluation)
    for state in (CheckState.NOT_PROVEN, CheckState.PASSED, CheckState.FAILED):
        gate = Gate.of([Check(name="golden", state=state, sentence="of 1 golden part")])
        write_model(judged, found.model_copy(update={"gate": gate}))
        out = tmp_path / state
        out.mkdir()
        register.run(register.Config(), {}, {}, registry, data, out)
        (version,) = registry.versions("cells")
        details = {key: text for key, text in version.tags.items() if key.startswith("gate.")}
        key = f"gate.{state.replace(' ', '_')}"
        line = f"golden {state}: of 1 golden part"
        assert details == ({} if state == "passed" else {key: line})
        assert version.gate == state
        assert f"Gate {state}" in version.description


@pytest.mark.parametrize("key", ["gate", "review.status", "bundle_sha256", "leaky", "auroc"])
def test_a_tag_that_lineside_writes_itself_is_refused_by_file_and_name(
    tmp_path: Path, key: str
) -> None:
    (tmp_path / "register.yaml").write_text(f"tags:\n  plant: west\n  {key}: passed\n")
    with pytest.raises(
        ConfigError, match=rf"register\.yaml:1 tags: {key}: Lineside writes these itself; rename"
    ):
        config.load(tmp_path / "register.yaml", register.Config)


def test_no_tag_that_registration_writes_can_be_taken(ran: Ran) -> None:
    (version,) = ran.registry.versions("cells")
    assert {k for k in version.tags if not k.startswith("review.")} <= register.RESERVED


def test_what_was_registered_can_be_signed_off(ran: Ran, tmp_path: Path) -> None:
    shutil.copy(ran.registry.uri.removeprefix("sqlite:///"), tmp_path / "mlflow.db")
    registry = Registry(f"sqlite:///{tmp_path / 'mlflow.db'}")
    (version,) = registry.versions("cells")
    found = read_model(ran.data / "evaluate/evaluation.json", Evaluation)
    names = [check.name for check in found.gate.in_state(CheckState.NOT_PROVEN)]
    done = Review(registry, "cells").promote(1, "A. Weber", "first release", "trial", names)
    assert done.record is not None
    assert (done.record.gate, list(done.record.accepted)) == (version.gate, names)
