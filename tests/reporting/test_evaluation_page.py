"""The report in a browser: what it shows is what metrics.json says, at any limits."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.contracts.bundle import Bundle, OperatingPoint
from pipeline.contracts.gallery import Galleries
from pipeline.reporting import tradeoff
from pipeline.reporting.evaluation import Page, render
from tests.browser import Browser, console_errors
from tests.reporting.conftest import page_of

pytestmark = pytest.mark.slow

RATES = ("escape_rate", "overkill_rate", "review_rate")
MOVE = """
const slider = document.getElementById(arguments[0]);
slider.value = arguments[1];
slider.dispatchEvent(new Event("input", { bubbles: true }));
"""


def show(browser: Browser, html: bytes, folder: Path) -> None:
    """Open the report from disk; its console is silent."""
    (folder / "report.html").write_bytes(html)
    console_errors(browser)
    browser.get((folder / "report.html").as_uri())
    assert console_errors(browser) == []


def ask(browser: Browser, css: str, field: str = "textContent") -> Any:
    said = browser.execute_script(f"return document.querySelector(arguments[0]).{field}", css)
    return said.replace("\u00a0", " ").strip() if isinstance(said, str) else said


@contextmanager
def seen_at(
    browser: Browser, width: int, scheme: str = "light", media: str = "screen"
) -> Iterator[None]:
    """A window or a sheet of that width in pixels."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": [feature]})
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


def shown_rates(browser: Browser) -> dict[str, float | None]:
    """The shares "at these limits", as exactly as the page knows them."""
    cells = {key: ask(browser, f"[data-figure={key}] .now", "dataset.value") for key in RATES}
    return {key: float(said) if said else None for key, said in cells.items()}


def expected(page: Page, pass_below: float, fail_from: float) -> dict[str, float]:
    """The same from NumPy."""
    table, taxonomy = page.predictions, page.bundle.taxonomy
    bad = (~table["label"].isin(taxonomy.good)).to_numpy()
    score, complained = table["defect_score"].to_numpy(), (table["complaint"] != "").to_numpy()
    looked_at = (table["p_finger"] > table["p_crack"]).to_numpy()
    passes = (score < pass_below) & ~complained
    fails = (score >= fail_from) & ~looked_at
    return {
        "escape_rate": (passes & bad).sum() / bad.sum(),
        "overkill_rate": (fails & ~bad).sum() / (~bad).sum(),
        "review_rate": (~passes & ~fails).sum() / len(bad),
    }


def limits(page: Page) -> list[float]:
    point = page.bundle.operating_point
    return tradeoff.of(page.predictions, page.bundle.taxonomy, point).limits()


def test_the_figures_on_the_page_are_those_of_the_metrics(
    browser: Browser, page: Page, html: bytes, tmp_path: Path
) -> None:
    show(browser, html, tmp_path)
    for key in (*RATES, "accuracy", "auroc"):
        assert float(ask(browser, f"#{key} data", "value")) == page.metrics[key]
    assert ask(browser, "#verdict") == "Gate passed: 4 passed."


def test_the_limits_start_where_the_bundle_has_them_with_the_same_figures(
    browser: Browser, page: Page, html: bytes, tmp_path: Path
) -> None:
    show(browser, html, tmp_path)
    assert shown_rates(browser) == {key: page.metrics[key] for key in RATES}
    assert ask(browser, "#pass-value") == f"{page.bundle.operating_point.pass_below:.4f}"
    assert {ask(browser, f"[data-figure={key}] .change") for key in RATES} == {"0"}


def test_text_and_number_agree_with_the_first_page(
    browser: Browser, page: Page, html: bytes, tmp_path: Path
) -> None:
    show(browser, html, tmp_path)
    for key in RATES:
        number = ask(browser, f"#{key} .number")
        assert ask(browser, f"[data-figure={key}] .now").endswith(f": {number}")


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.9), (0.5, 0.55), (0.0, 1.0)])
def test_moving_the_limits_counts_again(
    browser: Browser, page: Page, html: bytes, tmp_path: Path, low: float, high: float
) -> None:
    show(browser, html, tmp_path)
    steps = limits(page)
    at_low, at_high = (int(np.searchsorted(steps, limit)) for limit in (low, high))
    browser.execute_script(MOVE, "pass-limit", 0)
    browser.execute_script(MOVE, "fail-limit", steps[at_high])
    browser.execute_script(MOVE, "pass-limit", steps[at_low])
    assert shown_rates(browser) == expected(page, steps[at_low], steps[at_high])


def test_an_arrow_key_moves_one_part_to_the_other_side(
    browser: Browser, page: Page, html: bytes, tmp_path: Path
) -> None:
    show(browser, html, tmp_path)
    steps, point = limits(page), page.bundle.operating_point
    at = steps.index(point.pass_below)
    browser.execute_script("document.getElementById('pass-limit').focus()")
    for key, code, step in (("ArrowRight", 39, 1), ("ArrowLeft", 37, 0), ("ArrowLeft", 37, -1)):
        press(browser, key, code)
        assert shown_rates(browser) == expected(page, steps[at + step], point.fail_from)
    press(browser, "End", 35)
    assert shown_rates(browser) == expected(page, 1.1, 1.1)


@pytest.mark.parametrize("width", [390, 1280])
def test_a_knob_stands_right_below_its_limit_in_the_histogram(
    browser: Browser, page: Page, html: bytes, tmp_path: Path, width: int
) -> None:
    with seen_at(browser, width):
        show(browser, html, tmp_path)
        where = """
        const box = (css) => document.querySelector(css).getBoundingClientRect();
        const slider = document.getElementById("pass-limit");
        const track = box("#pass-limit"), knob = 16;
        const middle = track.left + knob / 2 + slider.valueAsNumber * (track.width - knob);
        const line = box("#pass-line");
        const tick = box(".axis span:nth-child(3)");
        const half = box(".histogram");
        return [middle - (line.left + line.right) / 2,
          (tick.left + tick.right) / 2 - (half.left + half.right) / 2];
        """
        apart, tick_apart = browser.execute_script(where)
    assert abs(apart) < 1.5
    assert abs(tick_apart) < 1.5


def test_a_pass_limit_above_the_fail_limit_takes_it_along(
    browser: Browser, page: Page, html: bytes, tmp_path: Path
) -> None:
    show(browser, html, tmp_path)
    browser.execute_script(MOVE, "pass-limit", 1)
    assert shown_rates(browser) == expected(page, 1.1, 1.1)
    assert ask(browser, "#fail-value") == "1.1 (none)"
    browser.execute_script(MOVE, "fail-limit", 0)
    assert shown_rates(browser) == expected(page, 0.0, 0.0)


def test_the_way_back_leads_to_the_chosen_limits(
    browser: Browser, page: Page, html: bytes, tmp_path: Path
) -> None:
    show(browser, html, tmp_path)
    browser.execute_script(MOVE, "pass-limit", 0.001)
    assert shown_rates(browser)["escape_rate"] != page.metrics["escape_rate"]
    browser.execute_script("document.getElementById('reset').click()")
    assert shown_rates(browser) == {key: page.metrics[key] for key in RATES}


def test_costs_are_those_of_a_line_with_its_own_share_of_bad_parts(
    browser: Browser, page: Page, html: bytes, tmp_path: Path
) -> None:
    show(browser, html, tmp_path)
    for field, value in (("escape", 200), ("overkill", 5), ("review", 2)):
        browser.execute_script(MOVE, f"cost-{field}", value)
    browser.execute_script(MOVE, "share-bad", 2)
    table = page.predictions
    bad = (~table["label"].isin(page.bundle.taxonomy.good)).to_numpy()
    said = table["verdict"].to_numpy(str)
    of_bad = 200 * (said[bad] == "PASS").mean() + 2 * (said[bad] == "REVIEW").mean()
    of_good = 5 * (said[~bad] == "FAIL").mean() + 2 * (said[~bad] == "REVIEW").mean()
    cost = 1000 * (0.02 * of_bad + 0.98 * of_good)
    assert ask(browser, "[data-figure=cost] .now") == f"{cost:.0f}"


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_never_scrolls_sideways(
    browser: Browser, page: Page, html: bytes, tmp_path: Path, width: int, scheme: str
) -> None:
    with seen_at(browser, width, scheme):
        show(browser, html, tmp_path)
        assert ask(browser, "html", "scrollWidth") <= width


def test_on_a_phone_no_cell_of_a_table_is_cut_off(
    browser: Browser, html: bytes, tmp_path: Path
) -> None:
    cut = """
    return [...document.querySelectorAll("td, th, .wide")].filter((cell) =>
      cell.getClientRects().length && !cell.closest("thead")
      && (cell.getBoundingClientRect().right > innerWidth
        || cell.scrollWidth > cell.clientWidth + 1)
    ).map((cell) => cell.textContent.trim().slice(0, 80));
    """
    with seen_at(browser, 390):
        show(browser, html, tmp_path)
        assert browser.execute_script(cut) == []


def test_without_scripts_the_figures_of_the_metrics_remain(
    browser: Browser, page: Page, html: bytes, tmp_path: Path
) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        show(browser, html, tmp_path)
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert shown_rates(browser) == {key: page.metrics[key] for key in RATES}
    hidden = "return getComputedStyle(document.querySelector('.needs-script')).display"
    assert browser.execute_script(hidden) == "none"


@pytest.mark.parametrize("shares", [(1.0, 0.0, 0.0), (0.0, 0.8, 0.2)])
def test_a_test_of_one_kind_of_part_can_be_moved_too(
    browser: Browser, sealed_bundle: Bundle, tmp_path: Path, shares: tuple[float, ...]
) -> None:
    page = page_of(sealed_bundle, shares=shares)
    show(browser, render(page), tmp_path)
    assert shown_rates(browser) == {key: page.metrics[key] for key in RATES}
    browser.execute_script(MOVE, "pass-limit", 0.3)
    assert console_errors(browser) == []


def test_nothing_passes_before_limits_are_chosen(
    browser: Browser, sealed_bundle: Bundle, tmp_path: Path
) -> None:
    page = page_of(sealed_bundle, point=OperatingPoint(pass_below=0, fail_from=1.1))
    show(browser, render(replace(page, galleries=Galleries())), tmp_path)
    assert shown_rates(browser) == {"escape_rate": 0, "overkill_rate": 0, "review_rate": 1}


def press(browser: Browser, key: str, code: int, text: str = "") -> None:
    """A key, as the keyboard sends it to what has the focus."""
    named = {"key": key, "code": key, "windowsVirtualKeyCode": code}
    kind = {"type": "keyDown", "text": text} if text else {"type": "rawKeyDown"}
    browser.execute_cdp_cmd("Input.dispatchKeyEvent", {**kind, **named})
    browser.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": "keyUp", **named})


def enter(browser: Browser, css: str) -> None:
    """Enter on an element that the keyboard can reach."""
    browser.execute_script("document.querySelector(arguments[0]).focus()", css)
    press(browser, "Enter", 13, "\r")


FIRST = "#gallery-escapes li:nth-child(1) .picture"


def test_a_picture_is_enlarged_closed_and_left_by_the_keyboard_alone(
    browser: Browser, page: Page, html: bytes, tmp_path: Path
) -> None:
    show(browser, html, tmp_path)
    first, second, *_ = page.galleries.galleries[0].pictures
    enter(browser, FIRST)
    assert ask(browser, "#enlarged", "open") is True
    assert first.sample_id in ask(browser, "#enlarged .caption")
    assert ask(browser, "#enlarged img", "clientWidth") > 400
    press(browser, "ArrowRight", 39)
    assert second.sample_id in ask(browser, "#enlarged .caption")
    press(browser, "Escape", 27)
    assert ask(browser, "#enlarged", "open") is False
    focused = "return document.activeElement.getAttribute('aria-label')"
    assert browser.execute_script(focused) == f"Enlarge {second.sample_id}"


def test_the_heat_map_of_an_enlarged_picture_is_switched_on_and_off(
    browser: Browser, html: bytes, tmp_path: Path
) -> None:
    show(browser, html, tmp_path)
    part, heat = (ask(browser, f"{FIRST} .{kind}", "src") for kind in ("part", "heat"))
    enter(browser, FIRST)
    assert ask(browser, "#enlarged img", "src") == part
    for source in (heat, part):
        enter(browser, "#enlarged .toggle-heat")
        assert ask(browser, "#enlarged img", "src") == source
    press(browser, "ArrowLeft", 37)  # round to the last part, which has none
    assert ask(browser, "#enlarged .toggle-heat", "hidden") is True


def test_the_heat_maps_of_a_gallery_are_switched_on_and_off_without_scripts_too(
    browser: Browser, html: bytes, tmp_path: Path
) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        show(browser, html, tmp_path)
        widths = f"{FIRST} .part", f"{FIRST} .heat"
        assert [ask(browser, css, "clientWidth") > 0 for css in widths] == [True, False]
        browser.execute_script("document.getElementById('heat-escapes').checked = true")
        assert [ask(browser, css, "clientWidth") > 0 for css in widths] == [False, True]
        without = "#gallery-escapes li:last-child .part"
        assert ask(browser, without, "clientWidth") > 0
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_a_gallery_can_be_ordered_by_what_is_nearest_to_the_limit(
    browser: Browser, page: Page, html: bytes, tmp_path: Path
) -> None:
    show(browser, html, tmp_path)
    ids = [p.sample_id for p in page.galleries.galleries[0].pictures]
    shown = """
    return [...document.querySelectorAll("#gallery-escapes .caption .muted")].map(
        (id) => id.textContent);
    """
    order = """
    const select = document.querySelector("#gallery-escapes select");
    select.value = arguments[0];
    select.dispatchEvent(new Event("change"));
    """
    assert browser.execute_script(shown) == ids
    browser.execute_script(order, "nearest")
    assert browser.execute_script(shown) == ids[::-1]
    browser.execute_script(order, "surest")
    assert browser.execute_script(shown) == ids


def test_on_a_phone_galleries_have_two_columns(
    browser: Browser, html: bytes, tmp_path: Path
) -> None:
    columns = "return getComputedStyle(document.querySelector('.pictures')).gridTemplateColumns"
    with seen_at(browser, 390):
        show(browser, html, tmp_path)
        assert len(browser.execute_script(columns).split()) == 2
    with seen_at(browser, 1280):
        show(browser, html, tmp_path)
        assert len(browser.execute_script(columns).split()) >= 5


def test_limit_samples_can_be_printed_alone(browser: Browser, html: bytes, tmp_path: Path) -> None:
    with seen_at(browser, 800, media="print"):
        show(browser, html, tmp_path)
        browser.execute_script("window.print = () => undefined")
        browser.execute_script("document.querySelector('.print').click()")
        assert ask(browser, ".first", "clientHeight") == 0
        assert ask(browser, "#gallery-escapes", "clientHeight") == 0
        assert ask(browser, "#gallery-limit-pass", "clientHeight") > 100


def test_each_sheet_of_limit_samples_is_a_page_that_names_its_model(
    browser: Browser, html: bytes, page: Page, tmp_path: Path
) -> None:
    show(browser, html, tmp_path)
    names = "return [...document.querySelectorAll('.sheet-of')].map((p) => p.innerText)"
    browser.execute_script("window.print = () => undefined")
    browser.execute_script("document.querySelector('.print').click()")
    made = browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    pdf = base64.b64decode(made["data"])
    sizes = re.findall(rb"/MediaBox ?\[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    sheets = browser.execute_script("return document.querySelectorAll('.sheet').length")
    assert len(sizes) == sheets > 0
    assert all(float(width) > float(height) for width, height in sizes)
    with seen_at(browser, 800, media="print"):
        title = f"{page.name}, bundle {page.bundle.sha256[:12]}: limit samples"
        assert browser.execute_script(names) == [title] * len(sizes)
