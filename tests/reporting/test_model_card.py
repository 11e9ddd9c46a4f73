"""The model card, as a reviewer reads it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from pipeline.contracts.taxonomy import Disposition, PartClass, Taxonomy
from pipeline.reporting.evaluation import Page
from pipeline.reporting.model_card import render, write_card
from tests.reporting.conftest import POINT, page_of

SECTIONS = (
    "Model details",
    "Intended use",
    "Factors",
    "Metrics",
    "Evaluation data",
    "Training data",
    "Ethical considerations",
    "Limits and caveats",
    "How to sign off",
)


def text(page: Page) -> str:
    return render(page).decode().replace("\u00a0", " ")


def html(page: Page) -> str:
    shown: str = MarkdownIt("gfm-like", {"linkify": False}).render(text(page))
    return shown


def test_it_has_the_sections_of_model_cards_for_model_reporting(page: Page) -> None:
    found = [line[3:] for line in text(page).splitlines() if line.startswith("## ")]
    assert found == list(SECTIONS)


def test_the_gate_comes_first_and_the_command_to_sign_off_last(page: Page) -> None:
    lines = text(page).strip().splitlines()
    assert lines[2] == "**Gate passed: 4 passed.**"
    assert lines[-1].strip().startswith("lineside models promote solar-cell --version N")


def test_every_figure_has_its_interval(page: Page) -> None:
    low, high = page.metrics["accuracy_ci95"]
    assert f"| {low * 100:.1f} to {high * 100:.1f} % |" in text(page)


def test_tables_are_tables(page: Page) -> None:
    shown = html(page)
    assert shown.count("<table>") == 3
    assert "<td>crack</td>\n<td>it is scrapped</td>\n<td>7</td>" in shown


def test_what_the_data_cannot_prove_is_reported(page: Page) -> None:
    promise = {**page.evaluation.promise, "supported": False}
    evaluation = page.evaluation.model_copy(update={"promise": promise})
    said = text(replace(page, evaluation=evaluation))
    assert "**The promise is not proven**: at most 10 % escapes" in said


def test_names_cannot_break_it(page: Page) -> None:
    odd = "a|b [x](y) <b> *c*\n# d"
    taxonomy = Taxonomy(
        classes=(
            PartClass(name="good", disposition=Disposition.PASS),
            PartClass(name=odd, disposition=Disposition.SCRAP),
        )
    )
    page = page_of(page.bundle, taxonomy, POINT, (0.6, 0.4))
    shown = html(replace(page, title=odd, facts={odd: odd}))
    assert "<td>a|b [x](y) &lt;b&gt; *c* # d</td>" in shown
    assert "<h1>Model card: a|b [x](y) &lt;b&gt; *c* # d</h1>" in shown
    assert "<a " not in shown
    assert "<em>" not in shown


@pytest.mark.parametrize("field", ["robustness", "golden", "explained"])
def test_what_was_not_done_leaves_a_card(page: Page, field: str) -> None:
    evaluation = page.evaluation.model_copy(update={field: None})
    assert "## How to sign off" in text(replace(page, evaluation=evaluation))


def test_it_is_written_whole(page: Page, tmp_path: Path) -> None:
    write_card(tmp_path / "MODEL_CARD.md", page)
    assert (tmp_path / "MODEL_CARD.md").read_bytes() == render(page)
