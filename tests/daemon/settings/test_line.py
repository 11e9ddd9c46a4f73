"""The line file and what is said about a wrong one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import config
from pipeline.daemon.settings.line import Keep, Line, ModelSource
from pipeline.errors import ConfigError
from pipeline.plugins import Strict

LineFile = Callable[..., Path]


def test_line_file_becomes_a_typed_line(line: Line, line_file: LineFile) -> None:
    loaded = config.load(line_file(), Line)
    assert loaded.model_dump(serialize_as_any=True) == line.model_dump(serialize_as_any=True)


def test_shipped_demo_line_is_valid() -> None:
    path = Path(__file__).parents[3] / "conf" / "lines" / "demo.yaml"
    assert config.load(path, Line).station == "demo"


@pytest.mark.parametrize("shifts", ["[06:00, 14:00]", "['6:00']", "['24:00']", "[]"])
def test_shifts_that_are_not_times_of_day_are_refused(line_file: LineFile, shifts: str) -> None:
    path = line_file()
    path.write_text(f"{path.read_text()}shifts: {shifts}\n")
    with pytest.raises(ConfigError, match=r"line\.yaml:\d+ "):
        config.load(path, Line)


def test_shifts_are_times_of_day_in_quotes(line_file: LineFile) -> None:
    path = line_file()
    path.write_text(f'{path.read_text()}shifts: ["05:45", "17:45"]\n')
    assert config.load(path, Line).shifts == ("05:45", "17:45")


def test_unknown_source_lists_those_there_are(line_file: LineFile) -> None:
    with pytest.raises(ConfigError, match=r'line\.yaml:7 source\.type "repaly" unknown; .*replay'):
        config.load(line_file(type="repaly"), Line)


def test_misspelt_key_of_a_source_names_the_right_one(line_file: LineFile) -> None:
    with pytest.raises(ConfigError, match=r'key "source\.rate" unknown; .*rate_hz'):
        config.load(line_file(rate=5), Line)


def test_unknown_alias_lists_those_there_are(line_file: LineFile) -> None:
    path = line_file()
    path.write_text(path.read_text().replace("  cache:", "  alias: best\n  cache:"))
    with pytest.raises(ConfigError, match=r'model\.alias "best" unknown; .*challenger, champion'):
        config.load(path, Line)


def test_frames_to_keep_are_chosen_in_the_line_file(line_file: LineFile) -> None:
    path = line_file()
    path.write_text(f"{path.read_text()}keep:\n  folder: kept\n  verdicts: [FAIL]\n")
    assert config.load(path, Line).keep == Keep(folder=Path("kept"), verdicts=("FAIL",))


def test_verdict_that_there_is_not_lists_those_to_keep(line_file: LineFile) -> None:
    path = line_file()
    path.write_text(f"{path.read_text()}keep:\n  folder: kept\n  verdicts: [FIAL]\n")
    with pytest.raises(ConfigError, match=r'keep\.verdicts\[0\] "FIAL" unknown; .*"FAIL"\?'):
        config.load(path, Line)


@pytest.mark.parametrize("model", [Keep, Line, ModelSource])
def test_every_key_is_described(model: type[Strict]) -> None:
    assert [n for n, f in model.model_fields.items() if not f.description] == []


def test_a_station_that_would_watch_what_it_keeps_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "line.yaml"
    file.write_text(
        "station: west-1\nrecipe: cells\nmodel: {cache: models}\nledger: l.sqlite\n"
        "source: {type: folder, path: frames}\nkeep: {folder: frames/kept}\n"
    )
    with pytest.raises(ConfigError, match="lies in the watched folder frames"):
        config.load(file, Line)
