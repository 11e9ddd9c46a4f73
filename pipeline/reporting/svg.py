"""Drawings that stand inside a page: text that can be read aloud, colours that follow the page.

The same drawing is the same bytes: no date, and identifiers that depend on the content only.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from html import escape
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#012345"  # drawn in it, shown in the colour of the page's text
SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "lineside",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK
    ),
}


def drawing(
    name: str,
    draw: Callable[[Axes], None],
    *,
    alt_text: str,
    size: tuple[float, float] = (5.2, 3.9),
) -> Markup:
    """Draw on one pair of axes.

    Args:
        name: unique on its page; identifiers inside begin with it.
        draw: draws.
        alt_text: the drawing in words, for those who do not see it.
        size: inches at 72 to the inch.
    """
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        draw(axes)
        figure.patch.set_alpha(0)
        axes.patch.set_alpha(0)
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    return Markup(_inline(written.getvalue(), name, alt_text))


def _inline(svg: str, name: str, alt_text: str) -> str:
    """The element alone, its identifiers its own, described for screen readers."""
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="([^"]*)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\1{name}-", svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(alt_text)}" ', 1)
