"""Pictures that show no part: whatever the network would say of them, none is a PASS."""

from __future__ import annotations

import os
import struct
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.contracts.bundle import (
    EXAMPLES,
    MANIFEST,
    NOVELTY,
    Bundle,
    NoveltyLimit,
    Range,
    Reference,
    open_bundle,
    seal,
)
from pipeline.files import write_model
from pipeline.imaging import Pixels, codec
from pipeline.inference.inspector import Inspector
from tests.conftest import SealBundle
from tests.daemon.conftest import picture
from tests.daemon.servers.mjpeg import Answer, Server
from tests.faults.asking import Client, free_port
from tests.faults.conftest import JUDGED, SOAK, Plant

pytestmark = pytest.mark.slow

TIMES = 50 if SOAK else 5


def part(shade: int, step: int = 0) -> Pixels:
    """A part, 24x20 px: even, but for brighter columns, so that it has edges."""
    pixels = picture(shade)
    pixels[:, step % 6 :: 6] += 20
    return pixels


def blurred() -> Pixels:
    """As bright as a good part, from dark on the left to bright on the right."""
    ramp = np.linspace(180, 220, 24).astype(np.uint8)
    return np.broadcast_to(ramp[None, :, None], (20, 24, 3)).copy()


def foreign() -> Pixels:
    """As bright and as sharp as a good part, but its upper half is darker than its lower."""
    pixels = part(200)
    pixels[:10] -= 30
    pixels[10:] += 30
    return pixels


def bomb() -> bytes:
    """A small file that says that it is a picture of 60,000 x 60,000 pixels."""
    head = struct.pack(">II5B", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


GOOD = codec.encode_png(part(200))
# The network calls a black picture a defect, and a FAIL stays one: the part leaves the line.
SICK = {
    "black": (codec.encode_png(picture(0)), "FAIL", "too dark: "),
    "white": (codec.encode_png(picture(255)), "REVIEW", "too bright: "),
    "grey": (codec.encode_png(picture(200)), "REVIEW", "no contrast: "),
    "blurred": (codec.encode_png(blurred()), "REVIEW", "blurred: "),
    "foreign": (codec.encode_png(foreign()), "REVIEW", "unlike anything in training: "),
    "too small": (codec.encode_png(part(200)[:16]), "NOT_INSPECTED", "wrong size: 24x16 px"),
    "cut off": (GOOD[: len(GOOD) // 2], "NOT_INSPECTED", "unreadable: "),
    "no picture": (b"<html>404</html>", "NOT_INSPECTED", "unreadable: "),
}


@pytest.fixture
def sealed_bundle(tmp_path: Path, seal_bundle: SealBundle) -> Bundle:
    """The tiny bundle; here it knows what sharp parts look like, and three of them."""
    folder = tmp_path / "bundle"
    plain = seal_bundle(folder)
    examples = [Inspector(plain, 1).look(part(shade)).embedding[0] for shade in (50, 128, 200)]
    (folder / MANIFEST).unlink()
    np.save(folder / EXAMPLES, np.array(examples, np.float32), allow_pickle=False)
    write_model(folder / NOVELTY, NoveltyLimit(limit=60, median=10, n_chosen_on=3))
    reference = Reference(
        n_images=3,
        brightness=Range(low=150, median=200, high=210),
        contrast=Range(low=4, median=6, high=80),
        sharpness=Range(low=20, median=100, high=9000),
    )
    write_model(folder / "reference.json", reference)
    return open_bundle(folder, seal(folder))


class Belt:
    """An MJPEG camera at 50 pictures a second; with `frozen` set they are all the same one."""

    def __init__(self) -> None:
        self.frozen = threading.Event()

    def __call__(self, answer: Answer) -> None:
        answer.begin()
        step = 0
        while not answer.server.off.wait(0.02):
            step += not self.frozen.is_set()
            answer.part(codec.encode_png(part(195 + step % 7, step)))


def test_no_sick_picture_passes_and_the_next_good_one_does(
    plant: Plant, recovered: Callable[[str, float], None]
) -> None:
    client = Client(free_port())
    file = plant.line(
        source={"type": "push"},
        health={"size_px": [24, 20]},
        http={"port": client.port, "open_on_loopback": True},
    )
    station = plant.start(file)
    station.wait_for(lambda: client.ready, "ready")
    slowest = 0.0
    for i, (name, (data, expected, because)) in enumerate(SICK.items()):
        verdict, reason = client.verdict(data)
        assert (verdict, reason[: len(because)]) == (expected, because), name
        started = time.monotonic()
        good = codec.encode_png(part(195 + i))  # another each time, or they would seem frozen
        assert client.verdict(good)[0] == "PASS", f"after a picture that is {name}"
        slowest = max(slowest, time.monotonic() - started)
    recovered(f"{len(SICK)} sick pictures; slowest PASS of the next good one", slowest)
    station.end()
    assert plant.book.closed == 2 * len(SICK)


def test_a_picture_of_too_many_pixels_is_refused_without_a_record_and_the_next_one_passes(
    plant: Plant, recovered: Callable[[str, float], None]
) -> None:
    client = Client(free_port())
    http = {"port": client.port, "open_on_loopback": True}
    station = plant.start(plant.line(source={"type": "push"}, http=http))
    station.wait_for(lambda: client.ready, "ready")
    refused = client.inspect(bomb())
    assert (refused.status, "60,000 x 60,000 pixels" in refused.json["detail"]) == (413, True)
    started = time.monotonic()
    assert client.verdict(GOOD)[0] == "PASS"
    recovered("picture of 60,000 x 60,000 refused; the next PASS", time.monotonic() - started)
    station.end()
    assert plant.book.ask("SELECT verdict FROM records") == [("PASS",)]


def test_a_frozen_picture_is_found_by_its_content_at_full_rate(
    plant: Plant, recovered: Callable[[str, float], None]
) -> None:
    frozen = "verdict = 'NOT_INSPECTED' AND reason LIKE 'frozen: %'"
    with Server(belt := Belt()) as there:
        url = f"http://127.0.0.1:{there.server_port}/"
        station = plant.inspecting(plant.line(source={"type": "mjpeg", "url": url}))
        station.wait_for_more(10)
        assert plant.book.count(frozen) == 0
        belt.frozen.set()
        recovered("picture frozen; noticed", station.wait_for_more(1, frozen))
        before = plant.book.count(JUDGED)
        station.wait_for_more(20, frozen)
        assert plant.book.count(JUDGED) == before
        belt.frozen.clear()
        recovered("picture moves; next verdict", station.wait_for_more(1))
        station.end()


def test_a_folder_in_disorder_gives_each_part_its_record_and_no_half_one_a_verdict(
    plant: Plant, recovered: Callable[[str, float], None]
) -> None:
    folder = plant.home / "inbox"
    folder.mkdir()
    (folder / "first.png").write_bytes(GOOD)
    station = plant.inspecting(plant.line(source={"type": "folder", "path": "inbox"}))
    passed: list[str] = ["first.png"]
    for i in range(TIMES):
        passed += disorder(folder, i)
    with (folder / "slow.png").open("wb") as half:
        half.write(GOOD[: len(GOOD) // 2])
        half.flush()
        (folder / "after.png").write_bytes(GOOD)
        station.wait_for(lambda: plant.book.count("serial = 'after.png'"), "after.png")
        assert plant.book.count("serial = 'slow.png'") == 0
        half.write(GOOD[len(GOOD) // 2 :])
    started = time.monotonic()
    station.wait_for(lambda: plant.book.count("serial = 'slow.png'"), "slow.png")
    recovered("last half written; verdict", time.monotonic() - started)
    station.end()
    rows = plant.book.ask("SELECT serial FROM records WHERE verdict = 'PASS' ORDER BY serial")
    assert [serial for (serial,) in rows] == sorted([*passed, "slow.png", "after.png"])
    rest = plant.book.ask("SELECT serial, verdict, reason FROM records WHERE verdict != 'PASS'")
    for serial, verdict, reason in rest:
        assert serial.startswith(("cut-", "empty-", "gone-"))
        assert (verdict, reason[:12]) == ("NOT_INSPECTED", "unreadable: ")
    damaged = {f"{what}-{i}.png" for i in range(TIMES) for what in ("cut", "empty")}
    assert {serial for serial, _, _ in rest} >= damaged


def disorder(folder: Path, i: int) -> list[str]:
    """Do to a folder what bad writers do; returns the serials of whole parts among it."""
    (folder / f"cut-{i}.png").write_bytes(GOOD[:-20])
    (folder / f"empty-{i}.png").write_bytes(b"")
    (folder / f"gone-{i}.png").write_bytes(GOOD)
    (folder / f"gone-{i}.png").unlink()
    (folder / f".hidden-{i}.png").write_bytes(GOOD)
    (folder / f"left-{i}.tmp.png").write_bytes(GOOD)
    (folder / f"notes-{i}.txt").write_bytes(GOOD)
    moved = folder / f"moved-{i}.png"
    moved.with_suffix(".png.part").write_bytes(GOOD)
    moved.with_suffix(".png.part").rename(moved)
    strange = os.fsencode(folder) + b"/grau-\xfc-%d.png" % i
    Path(os.fsdecode(strange)).write_bytes(GOOD)
    return [moved.name, f"grau-\\udcfc-{i}.png"]
