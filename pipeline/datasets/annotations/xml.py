"""XML that someone else's tool wrote, read without what XML can do to its reader.

A document type with definitions of its own, where entities that grow without end or name other
files are declared, is refused; expat loads nothing from outside by itself.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from pipeline.errors import DataError


class _Declaration(Exception):
    pass


def parse(data: bytes, name: str) -> Element:
    """The root element of a document.

    Args:
        data: the document.
        name: what messages call it.

    Raises:
        DataError: it is not XML, or declares entities; the message has the line.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _doctype
    parser.EntityDeclHandler = _refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise DataError(f"{name}:{error.lineno} is not valid XML: {reason}") from None
    except (LookupError, ValueError) as error:  # an encoding that Python does not know
        raise DataError(f"{name}: its XML cannot be decoded: {error}") from None
    except _Declaration:
        raise DataError(
            f"{name}:{parser.CurrentLineNumber} has a document type with declarations, which may "
            "name other files or grow without end; remove it (<!DOCTYPE ... >)"
        ) from None
    return builder.close()


def text(element: Element, path: str, default: str = "") -> str:
    """The text of the first element of a path, without spaces around it."""
    found = element.find(path)
    return default if found is None or found.text is None else found.text.strip()


def numbers(element: Element, names: tuple[str, ...], where: str | PurePosixPath) -> list[float]:
    """The numbers in the elements, or attributes, of these names.

    Raises:
        DataError: one is missing or is not a finite number.
    """
    found = []
    for name in names:
        given = element.get(name) if name in element.attrib else text(element, name)
        try:
            value = float(given or "")
        except ValueError:
            value = float("nan")
        if not abs(value) < float("inf"):
            raise DataError(
                f"{where}: <{element.tag}> has {name} {given!r}; expected a number of pixels"
            )
        found.append(value)
    return found


def _doctype(name: str, system: str | None, public: str | None, has_subset: bool) -> None:
    if has_subset:
        raise _Declaration


def _refuse(*declared: object) -> NoReturn:
    raise _Declaration
