"""`dvc plots show` on a machine without a network, looked at in a browser."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import yaml
from dvc_render.vega_templates import TEMPLATES

from pipeline.contracts.bundle import OperatingPoint
from pipeline.errors import DataError, MissingExtra
from pipeline.metrics.classification import curve
from pipeline.reporting import plots
from pipeline.reporting.plots_page import (
    PAGE,
    SETTING,
    VEGA_LITE,
    choose_page,
    main,
    vega,
    write_page,
)
from tests.browser import Browser, console_errors
from tests.imports import ROOT
from tests.test_repro import dvc

pytestmark = pytest.mark.slow

PATIENCE_S = 30
NAMES = ["good", "bad"]
PLOTS = [
    Path(next(iter(plot))).name
    for plot in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["evaluate"]["plots"]
]
CURVES = {name for name in PLOTS if name.endswith(".csv")}
# What stands in each place that Vega filled: the marks with an area or a length, and the words.
DRAWN = """
return Object.fromEntries([...document.querySelectorAll("body > div svg.marks")].map(svg => [
  svg.closest("body > div").id,
  {
    marks: [...svg.querySelectorAll("g.role-mark path")]
      .map(mark => mark.getBBox()).filter(box => box.width > 50 && box.height > 50).length,
    text: svg.textContent,
  },
]));
"""
PICTURES = """
return [...document.images].map(image => [image.src, image.complete && image.naturalWidth > 0]);
"""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DVC project in which the evaluate stage of one recipe has drawn its plots."""
    folder = tmp_path_factory.mktemp("drawn") / "home"
    evaluated = folder / "data/cells/evaluate/plots"
    evaluated.mkdir(parents=True)
    (folder / "conf").mkdir()
    (folder / "conf/recipes.yaml").write_text("recipes: [cells]\n")
    shutil.copy(ROOT / "dvc.yaml", folder)
    bad = np.array([False, False, False, True, True, True])
    scores = np.array([0.1, 0.3, 0.6, 0.35, 0.8, 0.9])
    actual = [NAMES[int(b)] for b in bad]
    predicted = [NAMES[int(s >= 0.5)] for s in scores]
    found, point = curve("bad part", bad, scores), OperatingPoint(pass_below=0.25, fail_from=0.75)
    plots.write_curves(evaluated, [found], found)
    plots.write_confusion(evaluated, actual, predicted, NAMES)
    plots.write_scores(evaluated, scores, bad, point)
    plots.write_review(evaluated, None)
    counts = plots.confusion(actual, predicted, NAMES)
    plots.write_overview(evaluated / "overview.png", "cells", [found], counts, scores, bad, point)
    assert {p.name for p in evaluated.iterdir()} >= set(PLOTS)
    dvc(folder, "init", "--no-scm", "-q")
    return folder


@pytest.fixture(scope="module")
def chosen(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, shown by the page that needs no network."""
    folder = tmp_path_factory.mktemp("chosen") / "home"
    shutil.copytree(drawn, folder)
    write_page(folder)
    choose_page(folder)
    return folder


@pytest.fixture
def home(drawn: Path, tmp_path: Path) -> Path:
    """The project, to be altered."""
    return Path(shutil.copytree(drawn, tmp_path / "home"))


def opened(browser: Browser, page: Path) -> dict[str, Any]:
    """What Vega has drawn on a page, by file, as soon as it has filled every place."""
    waiting = pytest.importorskip("selenium.webdriver.support.ui", reason="selenium is missing")

    def filled(_: object) -> dict[str, Any] | None:
        found: dict[str, Any] = browser.execute_script(DRAWN)
        return found if len(found) == len(CURVES) else None

    console_errors(browser)
    browser.get(page.as_uri())
    found: dict[str, Any] = waiting.WebDriverWait(browser, PATIENCE_S).until(
        filled, f"{page} does not show {len(CURVES)} plots; its console: {console_errors(browser)}"
    )
    return {
        f"{place.rpartition('_plots_')[2].replace('_csv', '.csv')}": found[place] for place in found
    }


def test_a_clone_without_the_page_has_dvcs_own_which_draws_nothing_here(
    home: Path, browser: Browser
) -> None:
    dvc(home, "plots", "show")
    console_errors(browser)
    browser.get((home / "dvc_plots/index.html").as_uri())
    assert browser.execute_script("return typeof window.vegaEmbed") == "undefined"
    assert browser.execute_script(DRAWN) == {}
    assert "ERR_NAME_NOT_RESOLVED" in " ".join(console_errors(browser))  # there is no network


@pytest.mark.parametrize("out", ["dvc_plots", "data/cells/shown", "../elsewhere/shown"])
def test_every_plot_is_drawn_without_a_network_wherever_the_page_lies(
    chosen: Path, browser: Browser, out: str
) -> None:
    (chosen / out).parent.mkdir(exist_ok=True)
    dvc(chosen, "plots", "show", "-o", out)
    shown = opened(browser, (chosen / out / "index.html").resolve())
    assert set(shown) == CURVES
    assert [name for name, plot in shown.items() if not plot["marks"]] == []
    assert all(name in shown["confusion.csv"]["text"] for name in NAMES)
    pictures = dict(browser.execute_script(PICTURES))
    names = {unquote(src).rpartition("_plots_")[2]: there for src, there in pictures.items()}
    assert names == dict.fromkeys(set(PLOTS) - CURVES, True)
    assert [said for said in console_errors(browser) if "ERR_" in said or "Error" in said] == []


def test_a_page_of_ones_own_stays(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / ".dvc/own.html").write_text("<p>ours</p>{plot_divs}")
    dvc(home, "config", SETTING, "own.html")
    monkeypatch.chdir(home)
    main()
    dvc(home, "plots", "show")
    assert "<p>ours</p>" in (home / "dvc_plots/index.html").read_text("utf-8")
    assert f"dvc config --local {SETTING} {PAGE}" in capsys.readouterr().out


def test_the_command_writes_the_page_a_second_time(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(home)
    main()
    (home / ".dvc" / PAGE).write_text("{plot_divs} of a former Vega")
    main()
    assert vega() in (home / ".dvc" / PAGE).read_text("utf-8")
    assert capsys.readouterr().out.count("draws without a network, by") == 2


def test_a_folder_that_is_not_a_project_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"test_a_folder_that.* has no \.dvc"):
        write_page(tmp_path)


def test_settings_that_dvc_cannot_read_are_named_in_its_words(home: Path) -> None:
    (home / ".dvc/config.local").write_text("[plots\n")
    with pytest.raises(DataError, match=f"dvc config {SETTING} failed in .*config"):
        choose_page(home)


def test_vega_reads_the_language_that_dvc_writes() -> None:
    schemas = {t.DEFAULT_CONTENT["$schema"].rpartition("/vega-lite/v")[2] for t in TEMPLATES}
    assert schemas == {f"{VEGA_LITE}json"}


def test_vega_cannot_end_the_element_it_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vl_convert.javascript_bundle", lambda *_, **__: 'say("</script>")')
    assert vega() == r'say("<\/script>")'


def test_a_missing_package_is_named_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(MissingExtra, match=r"vl-convert-python.*\.\[train\]"):
        vega()
