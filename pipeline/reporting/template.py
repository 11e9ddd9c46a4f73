"""Pages from templates: one environment, one style, every name escaped, one file without a network.

HTML templates start with `{% include "template.css.j2" %}` in their style element.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

FOLDER = Path(__file__).parent
SPECIAL = "\\`*_[]<>|~#$"


def fill_html(name: str, **values: Any) -> bytes:
    """Fill an HTML template; what is no `Markup` is escaped."""
    html = _environment(autoescape=True).get_template(name).render(values)
    # A file name that is no UTF-8 reaches us with surrogates, which UTF-8 cannot write.
    return html.encode("utf-8", "backslashreplace")


def fill_markdown(name: str, **values: Any) -> bytes:
    """Fill a Markdown template; what is no `Markup` is escaped by `markdown`."""
    environment = _environment(autoescape=False, finalize=markdown)
    text = environment.get_template(name).render(values)
    return text.encode("utf-8", "backslashreplace")


def markdown(value: Any) -> str:
    """One line of Markdown that shows the value as it is, also in a cell of a table.

    `Markup` stays what it is: it was escaped before.
    """
    if isinstance(value, Markup):
        return str(value)
    line = " ".join(str(value).split())
    return "".join(ENTITIES.get(c, f"\\{c}" if c in SPECIAL else c) for c in line)


ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def data_uri(data: bytes, media_type: str) -> str:
    """The address that is its own content."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def _environment(*, autoescape: bool, finalize: Callable[[Any], Any] | None = None) -> Environment:
    return Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=autoescape,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
