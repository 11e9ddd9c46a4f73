"""XML of other people's tools, and what it may not do."""

from __future__ import annotations

import pytest

from pipeline.datasets.annotations.xml import numbers, parse, text
from pipeline.errors import DataError

BILLION_LAUGHS = b"""<?xml version="1.0"?>
<!DOCTYPE a [
 <!ENTITY b "lol">
 <!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">
]>
<a>&c;</a>"""


def test_texts_and_numbers_are_read() -> None:
    root = parse(b"\xef\xbb\xbf<a><b> x </b><box><x>1.5</x><y>-2</y></box></a>", "f.xml")
    assert text(root, "b") == "x"
    assert text(root, "c", "none") == "none"
    box = root.find("box")
    assert box is not None
    assert numbers(box, ("x", "y"), "f.xml") == [1.5, -2]


def test_attributes_are_numbers_too() -> None:
    assert numbers(parse(b'<box x="3"/>', "f.xml"), ("x",), "f.xml") == [3]


@pytest.mark.parametrize("given", ["", "a", "nan", "inf"])
def test_what_is_not_a_number_is_named(given: str) -> None:
    root = parse(f"<box><x>{given}</x></box>".encode(), "f.xml")
    with pytest.raises(DataError, match=r"f\.xml: <box> has x '.*'; expected a number of pixels"):
        numbers(root, ("x",), "f.xml")


@pytest.mark.parametrize(
    "document",
    [
        BILLION_LAUGHS,
        BILLION_LAUGHS.decode().encode("utf-16"),
        b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
        b'<!DOCTYPE a [<!ENTITY % p SYSTEM "http://example.org/x.dtd"> %p;]><a/>',
    ],
)
def test_declared_entities_are_refused(document: bytes) -> None:
    with pytest.raises(DataError, match=r"f\.xml:\d+ has a document type with declarations"):
        parse(document, "f.xml")


def test_a_document_type_without_declarations_does_no_harm() -> None:
    assert parse(b'<!DOCTYPE a SYSTEM "x.dtd"><a/>', "f.xml").tag == "a"


@pytest.mark.parametrize("document", [b"", b"<a>", b"<a></b>", b"text", b"<a>&nbsp;</a>"])
def test_what_is_not_xml_is_refused_with_its_line(document: bytes) -> None:
    with pytest.raises(DataError, match=r"f\.xml:\d+ is not valid XML: "):
        parse(document, "f.xml")


def test_an_unknown_encoding_is_one_message() -> None:
    with pytest.raises(DataError, match=r"f\.xml"):
        parse(b'<?xml version="1.0" encoding="x-none"?><a/>', "f.xml")
