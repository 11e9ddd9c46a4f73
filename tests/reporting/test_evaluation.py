"""The evaluation report, read as a file; in a browser it is opened by test_evaluation_page.py."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipeline.contracts.bundle import Bundle, OperatingPoint
from pipeline.contracts.evaluation import (
    Check,
    CheckState,
    Comparison,
    Figure,
    Gate,
    Golden,
    GoldenMiss,
    Slices,
)
from pipeline.contracts.gallery import Galleries
from pipeline.contracts.taxonomy import Disposition, PartClass, Taxonomy
from pipeline.reporting import evaluation
from pipeline.reporting.evaluation import Page, flat, render, write_report
from pipeline.reporting.trend import VersionFigures
from tests.reporting.conftest import page_of

VOID = {"meta", "wbr", "img", "br", "input", "link", "hr"}


class Reader(HTMLParser):
    """What a browser would see: text outside of scripts, pictures, elements, identifiers."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.scripts = "", list[str]()
        self.tags, self.ids = list[str](), list[str]()
        self.pictures = list[dict[str, str]]()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = {key: value or "" for key, value in attrs}
        self.ids += [given["id"]] if "id" in given else []
        if tag == "img":
            self.pictures.append(given)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value or "" for key, value in attrs if key == "id"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.text += " " if tag in ("td", "th") else ""

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"]:
            self.scripts.append(data)
        else:
            self.text += data


def read(page: Page | bytes) -> Reader:
    reader = Reader()
    reader.feed((page if isinstance(page, bytes) else render(page)).decode())
    reader.close()
    assert reader.open == []
    reader.text = re.sub(r"\s+", " ", reader.text)
    return reader


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages whose plots are empty, as they take most of the time; for tests of the text."""
    monkeypatch.setattr(evaluation, "drawing", lambda *_, **__: "")


def changed(page: Page, **fields: object) -> Page:
    """The page with other fields of its evaluation."""
    return replace(page, evaluation=page.evaluation.model_copy(update=fields))


def test_the_verdict_of_the_gate_comes_first_with_every_check_in_words(html: bytes) -> None:
    text = read(html).text
    assert text.index("Gate passed: 4 passed.") < text.index("Five figures")
    assert "Promise passed: the limits keep what was promised" in text


@pytest.mark.usefixtures("undrawn")
def test_a_failed_check_stands_above_those_that_passed(page: Page) -> None:
    checks = (
        Check(name="promise", state=CheckState.PASSED, sentence="kept"),
        Check(
            name="golden", state=CheckState.FAILED, sentence="1 of 12 golden parts is judged wrong"
        ),
    )
    text = read(changed(page, gate=Gate.of(checks))).text
    assert "Gate failed: 1 failed, 1 passed." in text
    assert text.index("Golden failed: 1 of 12") < text.index("Promise passed: kept")
    assert "--override WHY" in text


@pytest.mark.usefixtures("undrawn")
def test_what_is_not_proven_stands_with_what_would_prove_it_and_how_to_accept_it(
    page: Page,
) -> None:
    check = Check(
        name="escapes",
        state=CheckState.NOT_PROVEN,
        sentence="1 of 9 bad test parts pass",
        remedy="504 more bad test parts would prove it",
    )
    text = read(changed(page, gate=Gate.of([check]))).text
    assert "Gate not proven: 1 not proven." in text
    assert "Escapes not proven: 1 of 9 bad test parts pass; 504 more bad test parts" in text
    assert "--reason TEXT --accept escapes" in text
    assert "--override" not in text


@pytest.mark.usefixtures("undrawn")
def test_the_class_that_is_recognised_least_is_named_on_page_one(page: Page) -> None:
    slices = page.evaluation.slices.model_copy(
        update={"worst": "", "weakest_class": "class finger: 0 of 12 parts recognised"}
    )
    text = read(changed(page, slices=slices)).text
    assert text.index("Class finger: 0 of 12 parts recognised.") < text.index("In detail")


def test_figures_stand_with_counts_and_intervals(page: Page, html: bytes) -> None:
    text = read(html).text
    escapes, n_bad = page.metrics["escape_rate"], page.metrics["n_test_bad"]
    low, high = page.metrics["escape_rate_ci95"]
    assert f"Of {n_bad} bad parts {round(escapes * n_bad)} pass." in text
    assert f"{low * 100:.1f} to {high * 100:.1f} %, at most 10 % accepted" in text


def test_every_figure_of_the_metrics_is_in_the_last_table(page: Page, html: bytes) -> None:
    text = read(html).text
    leaves = list(flat(page.metrics))
    assert ("auroc", f"{page.metrics['auroc']:.5g}") in leaves
    for name, value in leaves:
        assert re.sub(r"\s+", " ", f"{name} {value}").strip() in text


def test_no_figure_has_more_digits_than_a_person_reads(page: Page, html: bytes) -> None:
    shown = read(html).text
    assert len(str(page.metrics["escape_rate"])) > 12
    assert re.findall(r"\b\d*\.\d{9,}", shown) == []


def test_the_first_page_names_what_it_is_about(page: Page) -> None:
    lineage = {"git_commit": "c2a64a5" * 5 + "-dirty", "evaluated": "2026-11-28T11:57:03+00:00"}
    html = render(replace(changed(page, lineage=lineage), version=7))
    first = read(html).text.partition("Five figures")[0]
    assert "Evaluated 2026-11-28 11:57 UTC Recipe solar-cell Version 7" in first
    assert "c2a64a5c2a64, and code or settings differ from it" in first
    assert f"Bundle {page.bundle.sha256[:12]}" in first
    assert b'<dd class="no" title="c2a64a5' in html


def test_the_first_page_puts_the_figures_into_parts_of_one_shift(page: Page) -> None:
    text = read(render(changed(page, shift_parts=8000))).text
    assert "What one shift would see" in text
    assert re.search(r"Of 8,000 good parts [\d,]+ \([\d,]+ to [\d,]+\) are rejected and", text)


def test_the_champion_is_reported_in_a_sentence_and_a_table(html: bytes) -> None:
    text = read(html).text
    assert "This model lets fewer bad parts pass than solar-cell/3; overkill is alike." in text
    assert "−4.0 points (−7.0 to −1.0) better" in text  # noqa: RUF001


def test_review_stands_against_the_promise_with_what_would_lower_it(html: bytes) -> None:
    text = read(html).text
    assert "Review against promise" in text
    assert "1540 of 2084: 73.9 % (63.9 to 83.9 %) not proven" in text
    assert "856 of 2084: 41.1 % (31.1 to 51.1 %) proven" in text
    assert "What lowers review most here is a better ranking (now 41.1 %)." in text
    assert "The limits are set by group rows-02160" in text


def test_without_a_promise_there_is_no_review_by_promise(page: Page, undrawn: None) -> None:
    assert "Review against promise" not in read(changed(page, review=None)).text


def test_warnings_weakness_and_lineage_are_on_the_page(page: Page, html: bytes) -> None:
    text = read(html).text
    assert "The 300 test parts come from 12 groups;" in text
    assert "Among poly cells the accuracy is lowest" in text
    assert "Brightness breaks it first" in text
    assert "git commit c2a64a5" in text
    assert page.bundle.sha256 in text
    assert "no copy or near-duplicate of a test part was found in training" in text


@pytest.mark.usefixtures("undrawn")
def test_a_golden_miss_is_named_with_its_reason(page: Page) -> None:
    miss = GoldenMiss(sample_id="cell0007", wanted="FAIL", verdict="PASS", reason="score 0.01")
    text = read(changed(page, golden=Golden(n=12, misses=(miss,)))).text
    assert "1 of 12 parts that must never be judged wrong were." in text
    assert "cell0007: PASS instead of FAIL; score 0.01" in text


@pytest.mark.usefixtures("undrawn")
def test_of_many_golden_misses_the_first_are_named(page: Page) -> None:
    misses = tuple(
        GoldenMiss(sample_id=f"cell{i:04d}", wanted="FAIL", verdict="PASS", reason="low")
        for i in range(20)
    )
    text = read(changed(page, golden=Golden(n=25, misses=misses))).text
    assert "20 of 25 parts that must never be judged wrong were." in text
    assert "cell0007: PASS" in text
    assert "cell0008: PASS" not in text
    assert "The others are in evaluation.json." in text


def test_nothing_but_the_evaluation_is_needed(page: Page) -> None:
    nothing: dict[str, object] = {
        "slices": Slices(slices=(), worst=""),
        "robustness": None,
        "comparison": Comparison(champion=""),
        "golden": None,
        "explained": None,
        "lineage": {},
        "notes": (),
    }
    shown = read(replace(changed(page, **nothing), galleries=Galleries(), facts={}, title=""))
    assert "No champion is signed off yet." in shown.text
    assert "Changes of the line were not tried." in shown.text
    assert "data/solar-cell/golden.csv" in shown.text
    assert shown.pictures == []


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ((1.0, 0.0, 0.0), "The test has no bad parts."),
        ((0.0, 0.8, 0.2), "The test has no good parts."),
    ],
)
def test_a_test_of_one_kind_of_part_is_reported_as_such(
    sealed_bundle: Bundle, shares: tuple[float, ...], said: str
) -> None:
    shown = read(page_of(sealed_bundle, shares=shares))
    assert said in shown.text
    assert "pass-limit" in shown.ids


def test_a_class_that_is_absent_keeps_its_row(sealed_bundle: Bundle) -> None:
    assert "finger 0 0 0" in read(page_of(sealed_bundle, shares=(0.7, 0.3, 0.0))).text


def test_a_recipe_that_passes_nothing_has_no_limit_to_move(sealed_bundle: Bundle) -> None:
    steel = Taxonomy(
        classes=tuple(
            PartClass(name=name, disposition=Disposition.SCRAP) for name in ("scale", "pit", "slag")
        )
    )
    nothing = OperatingPoint(pass_below=0, fail_from=0)
    shown = read(page_of(sealed_bundle, steel, nothing, (0.4, 0.3, 0.3)))
    assert "No class of this recipe passes: there is no limit to move." in shown.text
    assert "The test has no good parts." in shown.text
    assert "pass-limit" not in shown.ids
    assert "ROC curve" in shown.text


def nasty(galleries: Galleries) -> Galleries:
    """The same pictures, with names that would break a page that does not escape them."""
    (first, *_) = galleries.galleries
    names = dict.fromkeys(("sample_id", "label", "likeliest"), NASTY)
    pictures = tuple(p.model_copy(update=names) for p in first.pictures)
    named = {"title": NASTY, "lead": NASTY, "pictures": pictures}
    return Galleries(galleries=(first.model_copy(update=named),))


NASTY = "</script><b onload='x'>|$x$"


@pytest.mark.slow
def test_no_name_can_break_the_page(sealed_bundle: Bundle) -> None:
    taxonomy = Taxonomy(
        classes=(
            PartClass(name=f"good{NASTY}", disposition=Disposition.PASS),
            PartClass(name=f"bad{NASTY}", disposition=Disposition.SCRAP),
        )
    )
    page = page_of(sealed_bundle, taxonomy, shares=(0.6, 0.4))
    usual = read(page_of(sealed_bundle)).tags
    table = page.predictions.assign(sample_id=NASTY, group=NASTY, variant=NASTY)
    comparison = page.evaluation.comparison.model_copy(
        update={"champion": NASTY, "sentence": NASTY}
    )
    check = Check(name=NASTY, state=CheckState.FAILED, sentence=NASTY)
    page = replace(
        changed(page, comparison=comparison, gate=Gate.of((check,)), notes=(NASTY,)),
        recipe=NASTY,
        title=NASTY,
        predictions=table,
        facts={NASTY: NASTY},
        galleries=nasty(page.galleries),
    )
    shown = read(page)
    assert shown.tags.count("script") == usual.count("script")
    assert "onload" not in {key for picture in shown.pictures for key in picture}
    assert shown.text.count(NASTY) > 12
    assert shown.tags.count("b") < 20


def test_nothing_is_fetched_and_every_picture_is_described_in_words(html: bytes) -> None:
    shown = read(html)
    assert all(p["src"].startswith("data:image/") for p in shown.pictures)
    assert all(p["alt"] for p in shown.pictures)
    assert not {"link", "iframe", "object", "base"} & set(shown.tags)
    addresses = set(re.findall(r"https?://[^\"' ]+", html.decode()))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert b"default-src 'none'" in html


@pytest.mark.usefixtures("undrawn")
def test_costs_start_at_those_of_the_policy(page: Page) -> None:
    promise = {"policy": "cost", "escape": 250.0, "reject": 8.0, "review": 0.5, "supported": True}
    promise |= {"bad_share": 0.02, "said": "the least cost"}
    html = render(changed(page, promise=promise)).decode()
    started = re.findall(r'id="(?:cost-\w+|share-bad)"[^>]* value="([^"]+)"', html)
    assert [float(value) for value in started] == [250, 8, 0.5, 2]
    assert "(from the policy)" in html


def test_identifiers_are_unique(html: bytes) -> None:
    ids = read(html).ids
    assert sorted(ids) == sorted(set(ids))


def test_a_gallery_without_a_part_is_shown_as_empty(html: bytes) -> None:
    assert "Overkill (0) There are none." in read(html).text


def test_every_picture_has_a_caption_with_verdict_score_label_and_id(
    page: Page, html: bytes
) -> None:
    text = read(html).text
    assert "Escapes (6 of 110) Bad parts that pass." in text
    for picture in page.galleries.galleries[0].pictures:
        assert text.count(f"PASS score {picture.score:.3f} label crack {picture.sample_id}") == 1
        # Those next to a limit are limit samples too, with a score as exact as the limit.
        sample = f"PASS score {picture.score:.4f} label crack {picture.sample_id}"
        assert text.count(sample) == (picture.score > 0.05)


def test_before_registration_the_report_names_where_the_trend_will_be(html: bytes) -> None:
    text = read(html).text
    assert "Version not registered yet" in text
    assert "writes to data/solar-cell/register/report.html, has the trend" in text


@pytest.mark.usefixtures("undrawn")
def test_a_registered_report_has_a_row_for_each_version(page: Page) -> None:
    figures = {"escape_rate": Figure(0.05, 0.02, 0.1)}
    versions = [VersionFigures(n, "2026-11-20T08:00:00", True, figures) for n in (1, 2)]
    text = read(render(replace(page, version=2, versions=versions))).text
    assert re.search(r"2 2026-11-20 5\.0.% \(2\.0 to 10\.0.%\) not defined", text)
    only = render(replace(page, version=1, versions=versions[:1]))
    assert "Version 1 is the first." in read(only).text


def test_defect_classes_are_listed_by_how_often_they_occur(page: Page, html: bytes) -> None:
    labels = page.predictions["label"].value_counts()
    text = read(html).text
    assert labels["crack"] > labels["finger"]
    assert text.index(f"crack {labels['crack']} ") < text.index(f"finger {labels['finger']} ")


def test_limit_samples_have_a_section_of_their_own_with_what_they_are_samples_of(
    page: Page,
) -> None:
    text = read(render(replace(page, version=3))).text
    start = text.index("Limit samples Solar cells, version 3, bundle")
    assert "At the pass limit (2) Below it a part passes." in text[start:]


def test_the_same_page_is_the_same_bytes(page: Page, html: bytes) -> None:
    assert render(page) == html


def test_the_report_is_written_whole(page: Page, tmp_path: Path) -> None:
    write_report(tmp_path / "out/report.html", page)
    assert (tmp_path / "out/report.html").read_bytes().endswith(b"</html>")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["report.html"]


@pytest.mark.usefixtures("undrawn")
def test_of_many_groups_the_least_accurate_are_shown_and_the_rest_counted(page: Page) -> None:
    groups = [s for s in page.evaluation.slices.slices if s.by == "group"]
    many = [groups[i % 12].model_copy(update={"name": f"g{i}"}) for i in range(100)]
    slices = Slices(slices=tuple(many), worst="")
    text = read(changed(page, slices=slices)).text
    assert "By group: the 40 least accurate of 100, all in evaluation.json" in text


def test_nested_figures_have_dotted_names() -> None:
    value = {"a": {"b": [1, None]}, "c": [{"d": True}], "e": None}
    assert list(flat(value)) == [
        ("a.b", "1, not defined"),
        ("c.0.d", "True"),
        ("e", "not defined"),
    ]


def test_the_embedded_facts_are_json_and_hold_no_name(html: bytes) -> None:
    facts = json.loads(next(s for s in read(html).scripts if s.startswith("{")))
    assert set(facts) == {
        *("scores", "bad", "complained", "failing", "limits", "pass_at", "fail_at"),
    }


@pytest.mark.usefixtures("undrawn")
def test_groups_that_are_listed_nowhere_are_counted_too(page: Page) -> None:
    groups = [s for s in page.evaluation.slices.slices if s.by == "group"]
    many = [groups[i % 12].model_copy(update={"name": f"g{i}"}) for i in range(50)]
    slices = Slices(slices=tuple(many), worst="", counts={"group": 80})
    text = read(changed(page, slices=slices)).text
    assert (
        "By group: the 40 least accurate of 80, the 50 that misjudge most in evaluation.json"
    ) in text


@pytest.mark.parametrize("limit", [0.0, 1.05, 1.1])
@pytest.mark.usefixtures("undrawn")
def test_limits_above_every_score_stand_at_the_right_end(
    sealed_bundle: Bundle, limit: float
) -> None:
    html = render(page_of(sealed_bundle, point=OperatingPoint(pass_below=limit, fail_from=1.1)))
    found = re.search(r'id="band" x="([-.0-9]+)" y="14" width="([-.0-9]+)"', html.decode())
    assert found is not None
    left, width = map(float, found.groups())
    assert left == min(limit, 1) * 800
    assert left + width == 800


def test_the_reliability_plot_is_described_as_what_it_draws(page: Page, html: bytes) -> None:
    """It draws the defect score; the calibration error is about the likeliest class."""
    text = read(html).text
    assert "Share of bad parts over the defect score" in text
    assert f"ECE, {page.metrics['ece']:.3f}, asks another question" in text


@pytest.mark.usefixtures("undrawn")
def test_golden_parts_are_reported_with_the_side_of_the_split_that_they_are_on(page: Page) -> None:
    golden = Golden(n=12, misses=(), splits={"train": 9, "test": 3})
    text = read(changed(page, golden=golden)).text
    assert "They are 9 training and 3 test parts. Training has seen those of its own" in text
    of_test = Golden(n=3, misses=(), splits={"test": 3})
    assert "Training has seen" not in read(changed(page, golden=of_test)).text
