"""`lineside watch`: the live view of a station that runs elsewhere, as under systemd."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.errors import ConfigError, StationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from pipeline.contracts.records import Record
    from pipeline.daemon.settings.line import Line
    from pipeline.daemon.status import StationStatus

TOKEN = "LINESIDE_TOKEN"
TIMEOUT_S = 5.0
PARTS = 100


def watch(
    line_file: Annotated[
        Path, typer.Argument(metavar="LINE.yaml", help="The station's line file.")
    ],
    address: Annotated[
        str, typer.Option(help="Of the station, where it is not what the line file has.")
    ] = "",
    once: Annotated[bool, typer.Option("--once", help="Print it once and end.")] = False,
) -> None:
    """Show a running station live, through its web service; Ctrl-C ends the view, not the station.

    A station that is not open on loopback needs a token with scope read in LINESIDE_TOKEN.
    """
    import time
    from contextlib import suppress

    from rich.live import Live

    from pipeline import config
    from pipeline.cli.live.dashboard import A_SECOND
    from pipeline.cli.screen import out
    from pipeline.daemon.settings.line import Line

    line = config.load(line_file, Line)
    view = AttachedView(_asking(line, line_file, address))
    first = view.draw()  # a station that is not there, or a wrong token, is an error at once
    if once or not out.is_terminal:
        out.print(first)
        return
    with suppress(KeyboardInterrupt), Live(first, console=out, screen=True) as live:
        while True:
            time.sleep(1 / A_SECOND)
            try:
                live.update(view.draw())
            except StationError as gone:
                live.update(str(gone))


class AttachedView:
    """Asks a station for its status and its last parts, and draws them."""

    def __init__(self, get: Callable[[str], Any]) -> None:
        """Take what asks: the JSON at a path of the station; raises StationError."""
        self._get = get
        self._before: StationStatus | None = None

    def draw(self) -> RenderableType:
        """The station now; raises StationError where it does not answer."""
        from pipeline.cli.live.dashboard import page
        from pipeline.daemon.status import status_from

        try:
            status = status_from(self._get("/status"))
        except ValueError as error:
            raise StationError(f"this is not the status of a station: {error}") from None
        found = self._get(f"/api/v1/records?limit={PARTS}")["records"]
        records = tuple(_record(fields) for fields in reversed(found))
        latencies = tuple(r.latency_ms for r in records if r.latency_ms is not None)
        rate_hz, self._before = _rate_hz(self._before, status), status
        return page(status, rate_hz=rate_hz, latencies_ms=latencies, records=records, messages=())


def _record(fields: dict[str, Any]) -> Record:
    from pipeline.contracts.records import Record, RecordKind, Verdict

    known = {k: v for k, v in fields.items() if k in Record.__dataclass_fields__}
    kind = RecordKind(known.get("kind", RecordKind.PART))
    return Record(**{**known, "verdict": Verdict(fields["verdict"]), "kind": kind})


def _rate_hz(before: StationStatus | None, now: StationStatus) -> float:
    """Closed records a second since the status before."""
    if before is None or now.started_at != before.started_at or now.at <= before.at:
        return 0.0
    closed = sum(now.verdicts.values()) - sum(before.verdicts.values())
    return closed / (now.at - before.at).total_seconds()


def _asking(line: Line, line_file: Path, address: str) -> Callable[[str], Any]:
    """What asks the station of a line; raises ConfigError where it has no web service."""
    import requests

    if line.http is None:
        raise ConfigError(
            f"{line_file} has no `http`, so this station cannot be asked; add: http: {{port: 8711}}"
        )
    if not address and line.http.port == 0:
        raise ConfigError(f"{line_file} lets the system choose http.port; give --address")
    host = "127.0.0.1" if line.http.host in ("0.0.0.0", "::") else line.http.host
    host = f"[{host}]" if ":" in host else host
    base = (address or f"{line.http.scheme}://{host}:{line.http.port}").rstrip("/")
    token = os.environ.get(TOKEN, "")
    session = requests.Session()
    session.trust_env = False  # no proxy, no password of ~/.netrc
    if token:
        session.headers["authorization"] = f"Bearer {token}"
    if line.http.tls_cert is not None and not address:
        session.verify = str(line.http.tls_cert)

    def get(path: str) -> Any:
        try:
            answer = session.get(f"{base}{path}", timeout=TIMEOUT_S)
            if answer.status_code in (401, 403):
                raise ConfigError(
                    f"{base} refuses: {answer.json()['detail']}; set {TOKEN} to a token with scope "
                    f"read: lineside token new {line_file} NAME --scope read"
                )
            answer.raise_for_status()
            return answer.json()
        except (requests.RequestException, ValueError, KeyError) as error:
            why = "it does not answer" if isinstance(error, requests.ConnectionError) else error
            raise StationError(f"{base}: {why}; is the station running?") from None

    return get
