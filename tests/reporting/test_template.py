"""Names reach a page as they are, and nothing else does."""

from __future__ import annotations

from markdown_it import MarkdownIt
from markupsafe import Markup

from pipeline.reporting.template import data_uri, markdown


def shown(text: str) -> str:
    """What a reader of the rendered Markdown sees in the second cell of a table."""
    html: str = MarkdownIt("gfm-like", {"linkify": False}).render(
        f"| a | b |\n|---|---|\n| x | {text} |\n"
    )
    return html.split("<td>")[2].split("</td>")[0]


def test_what_has_a_meaning_in_markdown_is_shown_as_it_is() -> None:
    for name, html in (
        ("a|b", "a|b"),
        ("[link](x)", "[link](x)"),
        ("*bold*_it_`code`", "*bold*_it_`code`"),
        ("<b>&amp;</b>", "&lt;b&gt;&amp;amp;&lt;/b&gt;"),
        ("~~no~~ \\ #1 $x$", "~~no~~ \\ #1 $x$"),
        ("two\nlines", "two lines"),
    ):
        assert shown(markdown(name)) == html


def test_what_was_escaped_before_is_left_alone() -> None:
    assert markdown(Markup("**bold**")) == "**bold**"


def test_numbers_are_written_as_they_are() -> None:
    assert markdown(3.5) == "3.5"


def test_a_data_uri_is_its_own_content() -> None:
    assert data_uri(b"\x00\x01", "image/png") == "data:image/png;base64,AAE="
