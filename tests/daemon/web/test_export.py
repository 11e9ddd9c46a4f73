"""Records as a file, whatever their number."""

from __future__ import annotations

import csv
import io
import json

import pytest

from pipeline.daemon.web import export
from tests.daemon.web.conftest import Serve


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "AT_ONCE", 2)


def test_csv_has_a_line_for_each_record_that_fits_newest_first(serve: Serve) -> None:
    served = serve()
    for number, brightness in enumerate((50, 200, 50, 50, 128, 50)):
        served.send(brightness, x_serial=f"SN-{number}, new")
    reply = served.ask("GET", "/api/v1/export.csv?verdict=FAIL")
    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    assert reply.headers["content-disposition"] == 'attachment; filename="records.csv"'
    rows = list(csv.DictReader(io.StringIO(reply.body.decode())))
    assert [row["serial"] for row in rows] == [f"SN-{i}, new" for i in (5, 3, 2, 0)]
    assert {(row["verdict"], row["part_class"], row["camera"]) for row in rows} == {
        ("FAIL", "defective", "camera")
    }


def test_json_lines_are_the_records_as_sinks_get_them(serve: Serve) -> None:
    served = serve()
    sent = [served.send(brightness).json for brightness in (50, 200, 128)]
    reply = served.ask("GET", "/api/v1/export.jsonl")
    assert [json.loads(line) for line in reply.body.splitlines()] == sent[::-1]


def test_an_export_of_nothing_is_an_empty_table(serve: Serve) -> None:
    served = serve()
    assert served.ask("GET", "/api/v1/export.csv").body.startswith(b"id,captured_at,")
    assert served.ask("GET", "/api/v1/export.csv").body.count(b"\r\n") == 1
    assert served.ask("GET", "/api/v1/export.jsonl").body == b""
    assert served.ask("GET", "/api/v1/export.xlsx").status == 422


@pytest.mark.parametrize("serial", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_a_serial_is_not_a_formula_of_a_spreadsheet(serve: Serve, serial: str) -> None:
    served = serve()
    served.send(200, x_serial=serial)
    (row,) = csv.DictReader(io.StringIO(served.ask("GET", "/api/v1/export.csv").body.decode()))
    assert row["serial"] == f"'{serial}"
