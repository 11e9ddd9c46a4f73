"""Drawings inside a page."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from matplotlib.axes import Axes

from pipeline.reporting.svg import INK, drawing


def line(axes: Axes) -> None:
    axes.plot([0, 1], [0, 1], marker="o", label="<b>$x$</b>")
    axes.legend()


def test_the_same_drawing_is_the_same_bytes() -> None:
    assert drawing("a", line, alt_text="a line") == drawing("a", line, alt_text="a line")


def test_two_drawings_share_no_identifier_and_point_at_their_own() -> None:
    seen: list[set[str]] = []
    for name in "ab":
        root = ET.fromstring(drawing(name, line, alt_text="a line"))
        ids = {e.attrib["id"] for e in root.iter() if "id" in e.attrib}
        links = {v[1:] for e in root.iter() for k, v in e.attrib.items() if k.endswith("href")}
        assert links
        assert links <= ids
        seen.append(ids)
    assert not seen[0] & seen[1]


def test_it_is_described_in_words_and_takes_the_ink_of_the_page() -> None:
    svg = drawing("a", line, alt_text='a "line" & more')
    root = ET.fromstring(svg)
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == 'a "line" & more'
    assert INK not in svg
    assert "currentColor" in svg


def test_names_in_it_are_neither_elements_nor_formulas() -> None:
    root = ET.fromstring(drawing("a", line, alt_text="a line"))
    assert any((e.text or "").strip() == "<b>$x$</b>" for e in root.iter())


def test_it_has_the_size_in_inches_that_was_asked_for() -> None:
    root = ET.fromstring(drawing("a", line, alt_text="a line", size=(3, 2)))
    assert root.attrib["viewBox"] == "0 0 216 144"
