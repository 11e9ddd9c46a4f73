"""The power is cut while a model is fetched: at every step, whatever reached the disk, it starts.

The long form also draws by chance which of the unsynced names and contents reached the disk.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.daemon.model.cache import fetch_champion
from pipeline.daemon.model.serving import Serving
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.settings.line import Line, ModelSource
from pipeline.daemon.web.tokens import Scope, Tokens
from pipeline.errors import LinesideError, RegistryUnreachable
from pipeline.files import whole_folder, write_whole
from pipeline.registry.push import push
from pipeline.registry.store import Registry
from tests.conftest import SealBundle
from tests.daemon.conftest import keep, taking
from tests.daemon.fake_registry import FakeRegistry
from tests.faults.conftest import SOAK
from tests.faults.power_cut import Disk, Recording, lay_out, look_at, recorded
from tests.judgements import judged

pytestmark = pytest.mark.slow

DRAWN = 200 if SOAK else 0  # disks more for each step
AWAY = Registry("http://127.0.0.1:9")


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """A station that takes its model, in a folder that was there before."""
    (tmp_path / "station").mkdir()
    return taking(ModelSource(registry=AWAY.uri, cache=tmp_path / "station" / "models"))


@pytest.fixture
def bundles(sealed_bundle: Bundle, seal_bundle: SealBundle, tmp_path: Path) -> list[Bundle]:
    """Two versions; the first is the champion's of the tests' registry."""
    return [sealed_bundle, seal_bundle(tmp_path / "second", fail_from=0.4)]


Start = Callable[[Registry], str]


def station_on(line: Line, disk: Disk, home: Path) -> Start:
    """A start of the station on such a disk, which returns the version it runs."""
    lay_out(disk, home)
    model = line.model.model_copy(update={"cache": home / "models"})
    on_disk = line.model_copy(update={"model": model, "ledger": home / "ledger.sqlite"})
    return lambda registry: fetch_champion(on_disk, registry)[1].name


def assert_starts_after_a_cut(
    line: Line, recording: Recording, there: FakeRegistry, before: set[str], home: Path
) -> int:
    """On each disk it starts with the registry, and offline with a version of `before` or later.

    `before` is empty where the station had no good model: then it may refuse to start offline.
    Returns how many disks there were.
    """
    champion = f"cells/{there.aliases['champion']}"
    n = 0
    for n, (cut, disk) in enumerate(recording.disks(DRAWN), 1):
        try:
            start = station_on(line, disk, home / f"{n}-offline")
            try:
                assert start(AWAY) in before | {champion}, cut
            except RegistryUnreachable:
                assert not before, cut
            start = station_on(line, disk, home / f"{n}")
            assert start(there) == champion, cut
            assert start(AWAY) == champion, cut
        except LinesideError as error:
            pytest.fail(f"{cut}: {error}")
    return n


def test_a_first_fetch_may_be_cut_off_anywhere(
    line: Line, champion: Registry, bundles: list[Bundle], tmp_path: Path
) -> None:
    with recorded(tmp_path / "station") as recording:
        fetch_champion(line, champion)
    there = FakeRegistry(*bundles, champion=1)
    assert assert_starts_after_a_cut(line, recording, there, set(), tmp_path / "cut") > 40


def test_a_fetch_of_the_next_champion_may_be_cut_off_anywhere(
    line: Line, champion: Registry, bundles: list[Bundle], tmp_path: Path
) -> None:
    keep(bundles[0], line.model.cache)
    push(champion, "cells", bundles[1], judged(bundles[1], against="cells/1"))
    champion.client.set_registered_model_alias("cells", "champion", "2")
    with recorded(tmp_path / "station") as recording:
        Serving.start(line, champion, Clock())
    assert any(step.kind == "remove" for step in recording.steps), "the former one is removed"
    there = FakeRegistry(*bundles, champion=2)
    before = {"cells/1"}
    assert assert_starts_after_a_cut(line, recording, there, before, tmp_path / "cut") > 60


def test_a_damaged_copy_may_be_replaced_with_a_cut_anywhere(
    line: Line, champion: Registry, bundles: list[Bundle], tmp_path: Path
) -> None:
    bundle, _ = fetch_champion(line, champion)
    bundle.model.write_bytes(b"")
    with recorded(tmp_path / "station") as recording:
        fetch_champion(line, champion)
    there = FakeRegistry(*bundles, champion=1)
    for n, (cut, disk) in enumerate(recording.disks(DRAWN)):
        start = station_on(line, disk, tmp_path / "cut" / f"{n}")
        assert start(there) == start(AWAY) == "cells/1", cut
    assert n > 40


def test_files_and_folders_are_whole_after_a_cut_anywhere(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "file").write_bytes(b"old")
    with recorded(home) as recording:
        write_whole(home / "file", b"new and longer")
        with whole_folder(home / "day" / "folder") as aside:
            (aside / "inner").mkdir()
            (aside / "inner" / "a").write_bytes(b"content")
    whole = {"day/folder/inner": None, "day/folder/inner/a": b"content"}
    seen = set()
    for cut, disk in recording.disks(DRAWN):
        assert disk["file"] in (b"old", b"new and longer"), cut
        inner = {name: disk[name] for name in disk if name.startswith("day/folder/")}
        assert inner in ({}, whole), cut
        seen.add((disk["file"], bool(inner)))
    assert seen == {(b"old", False), (b"new and longer", False), (b"new and longer", True)}
    # What has returned is on the disk, even if nothing else is.
    (*_, (_, last)) = recording.disks()
    assert last == look_at(home)
    with recorded(home) as nothing:
        pass
    assert nothing.steps == []


def test_a_replaced_folder_is_the_former_or_the_new_one_after_a_cut_anywhere(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    (home / "stage").mkdir(parents=True)
    (home / "stage" / "a").write_bytes(b"old")
    with recorded(home) as recording, whole_folder(home / "stage") as aside:
        (aside / "a").write_bytes(b"new")
    for n, (cut, disk) in enumerate(recording.disks(DRAWN)):
        after = tmp_path / "cut" / f"{n}"
        lay_out(disk, after)
        with pytest.raises(KeyboardInterrupt), whole_folder(after / "stage"):
            raise KeyboardInterrupt
        assert (after / "stage" / "a").read_bytes() in (b"old", b"new"), cut


def test_tokens_are_those_before_or_after_a_cut_anywhere(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    tokens = Tokens(home / "tokens")
    tokens.new("plc", [Scope.ACT])
    with recorded(home) as recording:
        tokens.new("mes", [Scope.READ])
    for n, (cut, disk) in enumerate(recording.disks(DRAWN)):
        after = tmp_path / "cut" / f"{n}"
        lay_out(disk, after)
        (after / "tokens").chmod(0o600)
        assert [t.name for t in Tokens(after / "tokens").all()] in (["plc"], ["plc", "mes"]), cut


def test_the_cuts_find_a_writer_that_syncs_nothing(tmp_path: Path) -> None:
    """The tests above can fail: this is how a torn file comes about."""
    home = tmp_path / "home"
    home.mkdir()
    with recorded(home) as recording:
        (home / "aside").write_bytes(b"content")
        (home / "aside").rename(home / "file")
    found = {disk.get("file") for _, disk in recording.disks()}
    assert found == {None, b"", b"con", bytes(7), b"content"}
