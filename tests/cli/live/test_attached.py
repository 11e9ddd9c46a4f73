"""`lineside watch` shows a station that runs elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.cli.live.attached import AttachedView
from pipeline.daemon.status import status_from
from pipeline.daemon.web.tokens import Tokens
from pipeline.errors import ConfigError, StationError
from tests.daemon.conftest import line, parts
from tests.daemon.web.conftest import Serve, Served, reader, serve, tokens

__all__ = ["line", "parts", "reader", "serve", "tokens"]


@pytest.fixture
def line_file(tmp_path: Path) -> Path:
    path = tmp_path / "line.yaml"
    path.write_text(
        "station: west-1\nrecipe: cells\nmodel: {cache: c}\nledger: l\n"
        "source: {type: replay, path: p}\nhttp: {port: 9}\n"
    )
    return path


def watched(served: Served, line_file: Path, **env: str) -> tuple[int, str, BaseException | None]:
    options = ["watch", str(line_file), "--address", served.web.address, "--once"]
    wide = {"COLUMNS": "120", "LINES": "40"}
    done = CliRunner(env={"LINESIDE_TOKEN": "", **wide, **env}).invoke(app, options)
    return done.exit_code, done.output, done.exception


def test_a_running_station_is_shown_with_its_last_parts(serve: Serve, line_file: Path) -> None:
    served = serve()
    served.send(50, x_serial="SN-7")
    code, shown, _ = watched(served, line_file)
    assert code == 0
    for wanted in ("READY", "cells/3", "camera camera", "SN-7", "FAIL"):
        assert wanted in shown


def test_the_rate_is_that_between_two_looks(serve: Serve) -> None:
    served = serve()

    def get(path: str) -> Any:
        return served.ask("GET", path).json

    view, console = AttachedView(get), Console(width=120, height=40, record=True, quiet=False)
    view.draw()
    for _ in range(5):
        served.send(200)
    console.print(view.draw())
    assert "parts" in console.export_text()


def test_a_station_that_wants_a_token_names_the_variable(
    serve: Serve, tokens: Tokens, reader: str, line_file: Path
) -> None:
    served = serve(tokens=tokens.path)
    _, _, refused = watched(served, line_file)
    assert isinstance(refused, ConfigError)
    assert "set LINESIDE_TOKEN to a token with scope read" in str(refused)
    code, shown, _ = watched(served, line_file, LINESIDE_TOKEN=reader.removeprefix("Bearer "))
    assert (code, "READY" in shown) == (0, True)


def test_a_station_that_does_not_run_is_named_with_its_address(line_file: Path) -> None:
    done = CliRunner().invoke(app, ["watch", str(line_file), "--once"])
    assert isinstance(done.exception, StationError)
    assert "http://127.0.0.1:9: it does not answer; is the station running?" in str(done.exception)


@pytest.mark.parametrize(
    ("http", "named"), [("", "has no `http`"), ("http: {port: 0}", "give --address")]
)
def test_a_line_that_cannot_be_asked_names_what_to_add(
    line_file: Path, http: str, named: str
) -> None:
    line_file.write_text(line_file.read_text().replace("http: {port: 9}", http))
    done = CliRunner().invoke(app, ["watch", str(line_file)])
    assert isinstance(done.exception, ConfigError)
    assert named in str(done.exception)


def test_what_is_not_a_status_is_refused() -> None:
    with pytest.raises(StationError, match="this is not the status of a station"):
        AttachedView(lambda path: {"station": "x"}).draw()


def test_a_status_comes_back_as_it_was_served(serve: Serve) -> None:
    served = serve()
    served.send(50)
    before = served.station.status()
    again = status_from(served.ask("GET", "/status").json)
    assert again.cameras[0].name == before.cameras[0].name
    assert (again.verdicts, again.last, again.model) == (
        *(before.verdicts, before.last, before.model),
    )
