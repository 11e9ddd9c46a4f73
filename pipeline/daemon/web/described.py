"""What the web service's description of itself (OpenAPI) has of refusals and of pictures."""

from __future__ import annotations

from typing import Any

from pipeline.daemon.web.form import FORM
from pipeline.daemon.web.upload import KINDS, MOST_SERIAL

REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"description": "no valid token"},
    403: {"description": "another scope, or a page of another site"},
    404: {"description": "no such record, frame or camera"},
    422: {"description": "a parameter that cannot be read"},
    503: {"description": "not at the moment"},
    504: {"description": "the disk or the verdict is late"},
}
UPLOAD_REFUSALS: dict[int | str, dict[str, Any]] = REFUSALS | {
    202: {"description": "taken; judged when the camera's trigger comes"},
    400: {"description": "the client went away"},
    408: {"description": "the picture did not arrive in time"},
    413: {"description": "too large, or a form of too many parts"},
    415: {"description": "not a type of picture"},
    429: {"description": "too many pictures are being sent with this token"},
}
_SERIAL = {"type": "string", "maxLength": MOST_SERIAL}
SERIAL_PARAMETERS = [
    {"name": "serial", "in": "query", "schema": _SERIAL},
    {"name": "X-Serial", "in": "header", "schema": _SERIAL},
]
_FILE = {"type": "string", "format": "binary"}
_FORM = {"type": "object", "properties": {"image": _FILE}, "required": ["image"]}
PICTURE = {
    "required": True,
    "content": {kind: {"schema": _FILE} for kind in KINDS} | {FORM: {"schema": _FORM}},
}
