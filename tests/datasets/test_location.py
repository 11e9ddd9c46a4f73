"""Places that are not on disk: what is accepted, what is refused, and what a failure says."""

from __future__ import annotations

import shutil
import sys
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from pydantic import BaseModel, ValidationError
from upath import UPath

from pipeline.contracts.sample import Sample
from pipeline.datasets.adapters import csv
from pipeline.datasets.location import (
    Location,
    content,
    entries,
    files,
    is_folder,
    locate,
    opened,
)
from pipeline.datasets.scanning import scan
from pipeline.errors import DataError, MissingExtra
from pipeline.imaging.codec import encode_png


class Given(BaseModel):
    place: Location


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A zip of a hundred members with different bytes, and some that nobody wants to see."""
    path = tmp_path / "parts.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for i in range(100):
            out.writestr(f"good/{i:03d}.png", bytes([i]) * (1000 + i))
        out.writestr("bad/deep/a.png", b"bad")
        out.writestr("list.csv", "path,label\ngood/001.png,good\n")
        out.writestr("__MACOSX/good/._000.png", b"not a picture")
    return path


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and writes no log."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ThreadingHTTPServer]:
    """A web server of a table and one image, on this machine."""
    (tmp_path / "img").mkdir()
    (tmp_path / "img/a.png").write_bytes(encode_png(np.full((4, 4, 3), 7, np.uint8)))
    (tmp_path / "list.csv").write_text("path,label\nimg/a.png,good\nimg/gone.png,good\n")
    handler = partial(Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield httpd
        httpd.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "text",
    [
        "images",
        "/data/images",
        "parts.zip",
        "/data/Parts.ZIP",
        "zip://images::parts.zip",
        "memory://bucket/images",
        "s3://bucket/images",
        "https://host:8080/images",
        "github://org:repo@main/images",
        "zip://images::parts@2.zip",
    ],
)
def test_a_place_is_written_down_as_it_was_given(text: str) -> None:
    given = Given.model_validate({"place": text})
    assert given.model_dump(mode="json") == {"place": text}
    assert Given.model_validate_json(given.model_dump_json()) == given


@pytest.mark.parametrize("text", ["images", "parts.zip", "zip://images::parts.zip"])
def test_a_place_that_was_located_before_is_the_same_place(text: str) -> None:
    place = Given.model_validate({"place": text}).place
    assert Given(place=place) == Given.model_validate({"place": text})


def test_a_plain_path_needs_no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "upath", None)
    assert locate("images") == Path("images")


@pytest.mark.parametrize("text", ["s3://bucket/images", "parts.zip"])
def test_an_address_without_the_package_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setitem(sys.modules, "upath", None)
    with pytest.raises(MissingExtra, match=rf"{text} needs the package universal-pathlib.*remote"):
        locate(text)


@pytest.mark.parametrize(
    "text",
    [
        "s3://AKIA123:hunter2@bucket/images",
        "s3://AKIA123:hun/ter2@bucket/images",
        "https://hunter2@host/images",
        "https://host/list.csv?token=hunter2",
        "sftp://ann:hunter2@host/images",
        "zip://images::s3://AKIA123:hunter2@bucket/parts.zip",
        "https://ann:hun::ter2@host/images",
        "zip://images::https://ann:hun::ter2@host/parts.zip",
        "https://host/list.csv#token=hunter2",
    ],
)
def test_credentials_in_an_address_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(DataError, match="without it and give credentials in the environ") as raised:
        Given.model_validate({"place": text})
    assert "ter2" not in str(raised.value)
    assert "AKIA" not in str(raised.value)


def test_a_folder_that_cannot_be_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DataError, match=r"cannot be listed \(Permission denied\); grant"):
        entries(tmp_path)


@pytest.mark.parametrize("given", [None, 7, b"images", ["images"]])
def test_what_is_not_a_text_is_refused(given: object) -> None:
    with pytest.raises(ValidationError, match="expected"):
        Given.model_validate({"place": given})


def test_a_protocol_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValidationError, match="unsupported filesystem: 'gopher'; such as s3"):
        Given.model_validate({"place": "gopher://host/images"})


def test_a_host_that_would_be_lost_when_written_down_is_asked_for_in_the_environment() -> None:
    with pytest.raises(ValidationError, match=r"write it as sftp:///images .* FSSPEC_SFTP_HOST"):
        Given.model_validate({"place": "sftp://ann@host/images"})


def test_the_package_that_a_protocol_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(DataError, match=r"s3://bucket/images needs one more package.*s3fs"):
        opened(locate("s3://bucket/images"))


def test_an_archive_is_listed_without_what_macos_adds(archive: Path) -> None:
    place = opened(locate(archive))
    assert entries(place) == (["bad", "good"], ["list.csv"])
    assert [str(p) for p in files(place / "bad")] == ["deep/a.png"]
    assert len(files(place)) == 102


def test_a_folder_in_an_archive_can_be_the_place(archive: Path) -> None:
    place = opened(locate(f"zip://bad::{archive}"))
    assert is_folder(place)
    assert content(place / "deep/a.png") == b"bad"


def test_a_folder_and_an_archive_of_it_list_alike(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive) as whole:
        whole.extractall(tmp_path / "plain")
    plain, packed = locate(tmp_path / "plain"), opened(locate(archive))
    assert files(plain) == files(packed)
    assert entries(plain) == entries(packed)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_many_threads_read_one_archive_and_get_the_right_bytes(tmp_path: Path, kind: str) -> None:
    members = {f"good/{i:04d}.png": i.to_bytes(2) * (1000 + i) for i in range(2000)}
    for name, data in members.items():
        (tmp_path / "parts" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "parts" / name).write_bytes(data)
    packed = shutil.make_archive(str(tmp_path / "parts"), kind, tmp_path / "parts", "good")
    # No listing before: a table names its images, and the threads are the first to look.
    place = opened(locate(f"{kind}://::{packed}"))
    with ThreadPoolExecutor(16) as pool:
        found = pool.map(lambda name: content(place / name), members)
        assert list(found) == list(members.values())


def test_paths_of_an_opened_archive_share_one_open_file(archive: Path) -> None:
    place = opened(locate(archive))
    assert isinstance(place, UPath)
    assert (place / "a.png").fs is (place / "b.png").fs


def test_an_archive_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.zip is missing; check the address"):
        opened(locate(tmp_path / "none.zip"))


def test_an_archive_that_is_cut_off_is_named(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"parts\.zip cannot be read \(BadZipFile: "):
        opened(locate(archive))


def test_a_damaged_member_of_an_archive_stops_with_its_name(archive: Path) -> None:
    data = bytearray(archive.read_bytes())
    data[45] ^= 0xFF  # within the packed bytes of good/000.png
    archive.write_bytes(data)
    with pytest.raises(DataError, match=r"good/000\.png.* cannot be read \((error|BadZipFile): "):
        content(opened(locate(archive)) / "good/000.png")


@pytest.mark.parametrize("kind", ["zip", "memory"])
def test_a_missing_object_is_a_missing_file(archive: Path, kind: str) -> None:
    place = locate(archive if kind == "zip" else f"memory://{uuid4()}")
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: '.*good/none\.png"):
        content(opened(place) / "good/none.png")


def test_a_table_and_its_images_come_from_a_web_server(server: ThreadingHTTPServer) -> None:
    address = f"http://127.0.0.1:{server.server_port}"
    config = csv.Config.model_validate({"type": "csv", "file": f"{address}/list.csv"})
    root = csv.root(config)
    there, gone = (scan(s, root) for s in csv.read(config))
    assert (there.width_px, there.fault) == (4, "")
    assert gone.fault == "img/gone.png cannot be read: No such file or directory"


def test_a_table_may_name_images_by_their_whole_address(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,label\nhttp://host/parts/img/a.png,good\n")
    raw = {"type": "csv", "file": tmp_path / "list.csv", "root": "http://host/parts"}
    assert [s.path for s in csv.read(csv.Config.model_validate(raw))] == ["img/a.png"]


@pytest.mark.parametrize("path", ["http://other/a.png", "/a.png", "../a.png", "http://host/a.png"])
def test_an_image_outside_of_an_address_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "list.csv").write_text(f"path,label\n{path},good\n")
    raw = {"type": "csv", "file": tmp_path / "list.csv", "root": "http://host/parts"}
    with pytest.raises(DataError, match=r"list\.csv:2 names .*, which is not in http://host/parts"):
        csv.read(csv.Config.model_validate(raw))


def test_a_server_that_is_away_is_an_error_and_not_a_damaged_image(
    server: ThreadingHTTPServer,
) -> None:
    root = opened(locate(f"http://127.0.0.1:{server.server_port}"))
    server.shutdown()
    server.server_close()
    with pytest.raises(DataError, match=r"img/a\.png cannot be read \(ClientConnectorError"):
        scan(Sample("a", "img/a.png", "good", "a"), root)
