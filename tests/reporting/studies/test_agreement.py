"""The report of a study: figures, disagreements, and that it needs nothing from outside."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.contracts.study import STATION, Judgement
from pipeline.imaging import codec
from pipeline.reporting.studies.agreement import report
from tests.browser import Browser, console_errors
from tests.contracts.test_study import plan
from tests.daemon.conftest import picture
from tests.metrics.agreement.test_outcome import AT, Example, aiag, alike

__all__ = ["aiag"]

PNG = codec.encode_png(picture(128))


def page_of(example: Example, *notes: str) -> str:
    return report(*example, lambda number: PNG, AT, notes)[1].decode()


def test_the_report_has_verdict_standards_figures_and_lines_to_sign(aiag: Example) -> None:
    page = page_of(aiag, "The station was not there.")
    for wanted in (
        "Not acceptable: 2 of 19 figures",
        "IATF 16949",
        "VDI/VDE/VDMA 2632 part 3",
        "84.0 % (70.9 to 92.8 %)",
        "0.86 (0.74 to 0.95)",
        "The station was not there.",
        "Released by",
        "seed 7",
    ):
        assert wanted in page


def test_parts_with_an_answer_against_the_reference_are_shown_with_their_pictures(
    aiag: Example,
) -> None:
    page = page_of(aiag)
    shown = re.findall(r'alt="part (\d+)"', page)
    # Those that the AIAG marks with an x, on which somebody was wrong at least once.
    assert shown == ["6", "7", "12", "14", "21", "22", "26", "30", "34", "36", "43"]
    assert page.count("data:image/jpeg;base64,") == 11


def test_a_picture_that_is_gone_leaves_the_answers(aiag: Example) -> None:
    def gone(number: int) -> bytes:
        raise FileNotFoundError

    page = report(*aiag, gone, AT)[1].decode()
    assert page.count("no picture") == 11


def test_what_the_station_left_to_a_person_has_a_mark_and_a_column(aiag: Example) -> None:
    study, references, answers = aiag
    first, *rest = answers["A. Weber"]
    own = {STATION: [first.model_copy(update={"judgement": Judgement.UNDECIDED}), *rest]}
    page = page_of((study, references, own | answers))
    assert "? left to a person" in page
    assert "Left to a person" in page


def test_names_cannot_bring_markup_into_the_report(aiag: Example) -> None:
    study = plan(n=2, appraisers=("<script>", "B"), station="west-1")
    page = report(study, *alike(2, "<script>", "B", n_bad=1), lambda n: PNG, AT)[1].decode()
    assert "<script>" not in page


def test_the_same_study_gives_the_same_page(aiag: Example) -> None:
    assert page_of(aiag) == page_of(aiag)


@pytest.mark.slow
def test_the_report_reads_on_a_phone_and_asks_for_nothing_from_outside(
    aiag: Example, browser: Browser, tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    path.write_text(page_of(aiag), "utf-8")
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True},
    )
    browser.get(path.as_uri())
    width = browser.execute_script("return document.documentElement.scrollWidth")
    loaded = browser.execute_script("return performance.getEntriesByType('resource').length")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert (width, loaded) == (390, 0)
    assert console_errors(browser) == []
