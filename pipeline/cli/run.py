"""`lineside run` and `lineside check`: run a line file, or only validate it."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from pipeline.cli.screen import err, exit_code, out, print_error, print_line
from pipeline.errors import LinesideError, hidden

if TYPE_CHECKING:
    from pipeline.cli.logs import Form
    from pipeline.daemon.settings.line import Line
    from pipeline.daemon.station import Station
    from pipeline.plugins import PluginConfig

LineFile = Annotated[Path, typer.Argument(metavar="LINE.yaml", help="The station's line file.")]


def run(
    line_file: LineFile,
    watch: Annotated[
        bool, typer.Option("--watch", help="Fill the terminal with a live view of the station.")
    ] = False,
    log: Annotated[
        str, typer.Option(metavar="text|json", help="How messages are written to stderr.")
    ] = "text",
    browser: Annotated[
        bool, typer.Option("--browser", help="Open the station's page in a browser.")
    ] = False,
) -> None:
    """Inspect what the line's source delivers until it ends, Ctrl-C or SIGTERM.

    SIGHUP reads the line file again. Exit codes: 0 ended, 1 ended with triggers that could not be
    recorded, 2 the line file or something it names cannot be used, 3 must be started again.
    """
    import threading

    before = set(threading.enumerate())
    try:
        code = _run(line_file, watch=watch, form=_form(log), browser=browser)
    except LinesideError as error:
        print_error(error)
        code = exit_code(error)
    if any(thread.daemon for thread in set(threading.enumerate()) - before):
        _end_at_once(code)
    raise typer.Exit(code)


def _run(line_file: Path, *, watch: bool, form: Form, browser: bool) -> int:
    """Run the station; returns the process's exit code."""
    import logging

    from rich.console import Console

    from pipeline.cli import logs
    from pipeline.cli.live.dashboard import Watch, watching
    from pipeline.cli.live.progress import progress, summary_table
    from pipeline.daemon.runtime.clock import Clock
    from pipeline.daemon.service import Service

    service = Service(line_file)
    messages = logging.StreamHandler()
    messages.setFormatter(logs.formatter(form, service.line.station))
    if watch and err.is_terminal:
        view = Watch()
        logs.listen(view)
        with watching(Console(stderr=True), view):
            summary = service.run(view.follow, view.show)
    elif form == "json":
        logs.listen(messages)
        try:
            summary = service.run()
        except LinesideError as error:
            logging.getLogger(__name__).critical("%s", error)
            return exit_code(error)
    else:
        logs.listen(messages)
        with progress(err, Clock()) as count:
            summary = service.run(
                lambda station: _greet(station, service.line, browser), count.show
            )
    if form == "text":
        out.print(summary_table(summary))
    return 0 if summary.balances else 1


def _end_at_once(code: int) -> NoReturn:
    """End the process while threads still run: they hang, and Python cannot end them.

    Such a thread may be inside a C++ library. If the interpreter were taken down around it, the
    library would abort the process: "terminate called", and SIGABRT instead of the exit code.
    """
    import logging
    import os

    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _greet(station: Station, line: Line, browser: bool) -> None:
    print_line(f"station {station.ledger.station} inspects; Ctrl-C ends it")
    if line.http is None:
        return
    address = f"{line.http.scheme}://{line.http.host}:{line.http.port}/"
    print_line(f"its page: {address}")
    if browser and any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")):
        # Not where there is no screen: a browser for the terminal would take it.
        webbrowser.open(address)


def _form(log: str) -> Form:
    if log not in ("text", "json"):
        raise typer.BadParameter(f'"{log}" is unknown; choose json, text', param_hint="--log")
    return "json" if log == "json" else "text"


def check(line_file: LineFile) -> None:
    """Validate a line file and show what it would do, without connecting to camera or registry."""
    from pipeline import config
    from pipeline.daemon.settings.line import Line
    from pipeline.registry.connection import default_uri

    line = config.load(line_file, Line)
    uri = hidden(line.model.registry or default_uri(Path.cwd()))
    print_line(f"{line_file} is valid: station {line.station} would")
    signed = ", if its sign-offs verify" if line.model.require_signoff else ""
    print_line(f"  pull    models:/{line.recipe}@{line.model.alias} from {uri}{signed}")
    print_line(f"  keep it in {line.model.cache}")
    for camera in line.all_cameras:
        print_line(f"  inspect {_described(camera.source)}")
        if camera.trigger is not None:
            print_line(f"          at each {_described(camera.trigger)}")
    print_line(f"  write   one record a trigger to {line.ledger}")
    for camera in line.all_cameras:
        if camera.source.live and line.overload.policy == "queue" and line.overload.takt_ms is None:
            waiting = line.overload.waiting
            err.print(
                f"warning: camera {camera.name} goes on while up to {waiting} frames wait, and "
                "`overload.takt_ms` is not set: a verdict may come long after its part has gone "
                "by; set it to the milliseconds in which one is of use",
                markup=False,
            )
    for sink in line.sinks:
        print_line(f"  deliver {_described(sink)}")
    if (http := line.http) is not None:
        print_line(f"  serve   {http.scheme}://{http.host}:{http.port}")
    if (keep := line.keep) is not None:
        some = f" and {keep.pass_share:.0%} of PASS" if keep.pass_share else ""
        print_line(f"  keep    the frames of {', '.join(keep.verdicts)}{some} in {keep.folder}")


def _described(plugin: PluginConfig) -> str:
    """A plugin's name and what is set of it, on one line."""
    settings = plugin.model_dump(mode="json", exclude={"type"}, exclude_none=True)
    # Some cameras and receivers take their password in the query or in the path.
    return hidden(
        f"{plugin.type} ({', '.join(f'{k} {v}' for k, v in settings.items())})", paths=True
    )
