"""Records and kept frames, read while the station writes."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.daemon.web import records
from pipeline.daemon.web.records import aside
from pipeline.imaging import codec
from pipeline.ledger.upkeep.archiving import archive
from tests.daemon.conftest import picture
from tests.daemon.web.conftest import TIMEOUT_S, Serve, Served


def kept(served: Served, folder: Path, name: str, data: bytes | None) -> str:
    """The id of a record whose frame is in the folder."""
    identity: str = served.send().json["id"]
    if data is not None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    served.station.ledger.note_image(identity, name)
    return identity


def test_records_are_found_by_id_and_by_serial_newest_first(serve: Serve) -> None:
    served = serve()
    first, second = (
        served.send(n, x_serial="SN 1/ü".encode().decode("latin-1")) for n in (200, 50)
    )
    found = served.ask("GET", "/records?serial=SN%201/%C3%BC")
    assert found.json == [second.json, first.json]
    assert served.ask("GET", f"/records/{first.json['id']}").json == first.json


def test_archived_records_are_found_too(serve: Serve) -> None:
    served = serve()
    first, second = (served.send(n, x_serial="SN-1") for n in (200, 50))
    ledger = served.station.ledger
    archive(ledger.path, ledger.station, datetime.now(UTC) + timedelta(days=40))
    third = served.send(200, x_serial="SN-1")
    with closing(sqlite3.connect(ledger.path)) as db:
        assert db.execute("SELECT count(*) FROM records").fetchone() == (1,)
    found = served.ask("GET", "/records?serial=SN-1")
    assert found.json == [third.json, second.json, first.json]
    assert served.ask("GET", f"/records/{first.json['id']}").json == first.json
    assert served.ask("GET", "/records/none").status == 404


def test_a_damaged_archive_is_answered_with_its_name(serve: Serve) -> None:
    served = serve()
    first, ledger = served.send(200), served.station.ledger
    archive(ledger.path, ledger.station, datetime.now(UTC) + timedelta(days=40))
    (file,) = ledger.path.parent.glob("*-20*.sqlite")
    with file.open("ab") as handle:
        handle.write(b"more")
    reply = served.ask("GET", f"/records/{first.json['id']}")
    assert (reply.status, f"{file.name} is not what was archived" in reply.detail) == (503, True)


def test_a_ledger_that_cannot_be_read_is_answered_with_the_reason(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()

    def broken(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(sqlite3, "connect", broken)
    reply = served.ask("GET", "/records/1")
    assert (reply.status, "disk I/O error" in reply.detail) == (503, True)


def test_a_reader_of_records_keeps_no_verdict_waiting(serve: Serve) -> None:
    served = serve()
    with closing(sqlite3.connect(served.station.ledger.path)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM records").fetchone()
        assert served.send().json["verdict"] == "PASS"
        assert len(served.ask("GET", "/records?serial=").json) == 1


def test_a_kept_frame_is_shown_as_the_camera_gave_it(serve: Serve, tmp_path: Path) -> None:
    served = serve(frames=tmp_path / "kept")
    data = codec.encode_png(picture(200)) + bytes(600_000)
    identity = kept(served, tmp_path / "kept", "2026-11-23/1.png", data)
    reply = served.ask("GET", f"/records/{identity}/frame")
    assert (reply.status, reply.headers["content-type"]) == (200, "image/png")
    assert reply.body == data


@pytest.mark.parametrize("name", ["gone.png", "../secret.png"])
def test_a_frame_that_is_gone_or_elsewhere_is_not_shown(
    serve: Serve, tmp_path: Path, name: str
) -> None:
    served = serve(frames=tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    (tmp_path / "secret.png").write_bytes(b"secret")
    identity = kept(served, tmp_path / "kept", name, None)
    reply = served.ask("GET", f"/records/{identity}/frame")
    assert (reply.status, reply.detail) == (404, f"no frame of record {identity} is kept")


def test_a_station_that_keeps_no_frames_shows_none(serve: Serve) -> None:
    served = serve()
    identity = served.send().json["id"]
    assert served.ask("GET", f"/records/{identity}/frame").status == 404


def test_a_disk_that_hangs_takes_no_more_threads_than_a_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(records, "PATIENCE_S", 0.3)
    go_on, hanging = threading.Event(), threading.Semaphore(0)

    def hang() -> None:
        hanging.release()
        go_on.wait(TIMEOUT_S)

    async def ask(n: int) -> list[BaseException | None]:
        return await asyncio.gather(*(aside(hang) for _ in range(n)), return_exceptions=True)

    late = asyncio.run(ask(records.ASIDE + 3))
    assert all(hanging.acquire(timeout=TIMEOUT_S) for _ in range(records.ASIDE))
    one_more = hanging.acquire(blocking=False)
    go_on.set()
    assert {type(outcome) for outcome in late} == {TimeoutError}
    assert not one_more


def test_threads_that_a_disk_held_are_there_again_once_it_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go_on = threading.Event()

    async def ask(n: int) -> list[bool | BaseException]:
        work = [aside(lambda: go_on.wait(TIMEOUT_S)) for _ in range(n)]
        return await asyncio.gather(*work, return_exceptions=True)

    with monkeypatch.context() as patch:
        patch.setattr(records, "PATIENCE_S", 0.1)
        asyncio.run(ask(records.ASIDE))
    go_on.set()
    assert asyncio.run(ask(records.ASIDE)) == [True] * records.ASIDE


def test_what_work_beside_the_clients_raises_comes_back() -> None:
    def broken() -> None:
        raise OSError("disk I/O error")

    with pytest.raises(OSError, match="disk I/O error"):
        asyncio.run(aside(broken))
