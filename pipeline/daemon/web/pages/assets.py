"""The style sheet, scripts and icons of the pages, which browsers may keep.

Their address bears a digest of all of them, so that a new version of Lineside has new addresses,
and modules find one another by their plain names.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from fastapi import HTTPException, Request, Response
from starlette.routing import BaseRoute, Route

FOLDER = Path(__file__).parent / "assets"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
KEPT = {"cache-control": "public, max-age=31536000, immutable"}


class Assets:
    """All assets, read once.

    Attributes:
        digest: of all of them together.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files = {
            p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.suffix in TYPES
        }
        whole = hashlib.sha256()
        for name, data in self._files.items():
            whole.update(f"{name} {len(data)} ".encode() + data)
        self.digest = whole.hexdigest()[:16]

    def address(self, name: str) -> str:
        """Where an asset is; KeyError where there is none of this name."""
        self._files[name]
        return f"/assets/{self.digest}/{name}"

    def routes(self) -> list[BaseRoute]:
        """They are public: the login page needs them, and they show nothing of the station."""
        return [Route("/assets/{digest}/{name}", self._answer)]

    async def _answer(self, request: Request) -> Response:
        name, digest = request.path_params["name"], request.path_params["digest"]
        if name not in self._files or digest != self.digest:
            raise HTTPException(404, "no such asset")
        return Response(self._files[name], headers=KEPT, media_type=TYPES[Path(name).suffix])
