"""What a reviewer sees who opens nothing but MLflow: the version's page and the run's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from tests.browser import Browser, browser
from tests.registry.conftest import serving
from tests.stages.conftest import Ran

pytestmark = pytest.mark.slow

__all__ = ["browser"]

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def mlflow(ran: Ran, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("server"), ran.registry.uri) as uri:
        yield uri


def opened(browser: Browser, address: str, wanted: str) -> str:
    """The text of a page, as soon as it shows what is wanted."""
    waiting = pytest.importorskip("selenium.webdriver.support.ui", reason="selenium is missing")

    def text(_: object) -> str | None:
        said = str(browser.execute_script("return document.body.innerText"))
        return said if wanted in said else None

    browser.get("about:blank")
    browser.get(address)
    found = waiting.WebDriverWait(browser, PATIENCE_S).until(
        text, f"{address} does not show {wanted}"
    )
    return str(found)


def test_the_page_of_the_version_shows_what_metrics_json_holds(
    ran: Ran, browser: Browser, mlflow: str
) -> None:
    metrics = json.loads((ran.data / "evaluate/metrics.json").read_bytes())
    gate = json.loads((ran.data / "evaluate/evaluation.json").read_bytes())["gate"]
    text = opened(browser, f"{mlflow}/#/models/cells/versions/1", "Escapes")
    assert f"Gate {gate['state']}".replace("attention", "passed, needs attention") in text
    for figure in ("escape_rate", "overkill_rate", "accuracy", "auroc"):
        assert f"{metrics[figure]:.4f}" in text, figure
    assert "evaluate/report.html" in text


def test_the_page_of_the_run_has_the_figures_and_the_report(
    ran: Ran, browser: Browser, mlflow: str
) -> None:
    metrics = json.loads((ran.data / "evaluate/metrics.json").read_bytes())
    (version,) = ran.registry.versions("cells")
    run = MlflowClient(ran.registry.uri).get_run(version.run_id)
    page = f"{mlflow}/#/experiments/{run.info.experiment_id}/runs/{version.run_id}"
    shown = opened(browser, page, "auroc")
    assert run.data.metrics["auroc"] == metrics["auroc"]
    assert str(metrics["auroc"])[:6] in shown
    assert "report.html" in opened(browser, f"{page}/artifacts/evaluate", "report.html")


def test_the_report_lies_in_the_registry_with_its_version(ran: Ran, tmp_path: Path) -> None:
    (version,) = ran.registry.versions("cells")
    client = MlflowClient(ran.registry.uri)
    written = {
        "register/report.html": "report.html",
        "evaluate/MODEL_CARD.md": "MODEL_CARD.md",
        "evaluate/evaluation.json": "evaluation.json",
        "evaluate/metrics.json": "metrics.json",
    }
    for path, name in written.items():
        got = client.download_artifacts(version.run_id, f"evaluate/{name}", str(tmp_path))
        assert Path(got).read_bytes() == (ran.data / path).read_bytes()
    report = (ran.data / "register/report.html").read_text("utf-8")
    assert "<dt>Version</dt> <dd>1</dd>" in report
    assert "Version 1 is the first." in report
