"""MODEL_CARD.md: intended use, figures and limits of the model.

The sections are those of Mitchell et al., Model Cards for Model Reporting, FAT* 2019.
"""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from pipeline.contracts.taxonomy import Disposition
from pipeline.files import write_whole
from pipeline.reporting import wording
from pipeline.reporting.evaluation import Page, capital
from pipeline.reporting.template import fill_markdown

TEMPLATE = "model_card.md.j2"
FATES = {
    Disposition.PASS: "it is good and passes",
    Disposition.REWORK: "it is sent to rework",
    Disposition.SCRAP: "it is scrapped",
    Disposition.REVIEW: "a person looks at it",
}


def write_card(path: Path, page: Page) -> None:
    """Write the model card as one file that is whole or not there."""
    write_whole(path, render(page))


def render(page: Page) -> bytes:
    """Make the model card: Markdown in which names stand as they are."""
    evaluation, bundle = page.evaluation, page.bundle
    return fill_markdown(
        TEMPLATE,
        page=page,
        provenance=bundle.provenance,
        spec=bundle.preprocess,
        fates=[(c.name, FATES[c.disposition], c.severity) for c in bundle.taxonomy.classes],
        verdict=wording.verdict(evaluation.gate),
        figures=wording.five(page.metrics, evaluation),
        limits=" ".join(wording.limits(bundle.operating_point, evaluation)),
        slices=[s for s in evaluation.slices.slices if s.by in ("class", "variant", "source")],
        compared=capital(wording.compared(evaluation.comparison)),
        leakage=wording.leakage(evaluation.split),
        notes=[capital(note) for note in evaluation.notes],
        # A block of code shows what it holds; escaped, the command would not be one.
        command=Markup(wording.promote(page.recipe, evaluation.gate)),
        wording=wording,
    )
