"""`mlflow server` with basic auth on PostgreSQL: a plain user reads and verifies, not decides."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import tempfile
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.daemon.model.cache import fetch_champion
from pipeline.daemon.settings.line import Line, ModelSource
from pipeline.daemon.sources import replay
from pipeline.errors import RegistryForbidden, RegistryUnreachable, SignoffError
from pipeline.registry.decisions.review import Review
from pipeline.registry.decisions.signoffs import SignoffLog
from pipeline.registry.push import Registration
from pipeline.registry.resolution import resolve
from pipeline.registry.store import Registry
from tests.judgements import judged
from tests.registry.conftest import free_port, serving

Register = Callable[[Registry, Bundle], Registration]

PLACES = [str(p) for p in Path("/usr/lib/postgresql").glob("*/bin")]
INITDB = shutil.which("initdb", path=os.pathsep.join([os.environ.get("PATH", ""), *PLACES]))
MISSING = [
    *([] if INITDB else ["PostgreSQL (initdb)"]),
    *(
        f"the package {package}"
        for module, package in (("psycopg2", "psycopg2-binary"), ("flask_wtf", "flask-wtf"))
        if importlib.util.find_spec(module) is None
    ),
]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]

ADMIN, READER = "admin:the-password-of-admin", "reader:the-password-of-reader"


@contextmanager
def postgres() -> Iterator[str]:
    """A database of its own on loopback; as PostgreSQL refuses root, somebody else runs it then."""
    assert INITDB is not None
    tools = Path(INITDB).resolve().parent
    home = Path(tempfile.mkdtemp(prefix="lineside-postgres-"))
    other: dict[str, Any] = {"user": "nobody"} if os.geteuid() == 0 else {}
    if other:
        shutil.chown(home, "nobody")
    port = free_port()

    def call(*command: str) -> None:
        # Not a pipe: the server, which goes on, would keep it open.
        with (home.parent / f"{home.name}.log").open("ab") as log:
            subprocess.run(
                command, cwd=home, stdout=log, stderr=log, check=True, timeout=60, **other
            )

    control = [str(tools / "pg_ctl"), "-D", str(home / "data"), "-w"]
    settings = f"-p {port} -c listen_addresses=127.0.0.1 -k {home} -c fsync=off"
    try:
        call(str(tools / "initdb"), "-D", str(home / "data"), "-U", "lineside", "-A", "trust", "-N")
        call(*control, "-o", settings, "start")
        try:
            yield f"postgresql+psycopg2://lineside@127.0.0.1:{port}/postgres"
        finally:
            call(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)
        (home.parent / f"{home.name}.log").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres() as uri:
        yield uri


@pytest.fixture(scope="module")
def server(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server's address, with an administrator and a plain user."""
    home = tmp_path_factory.mktemp("guarded")
    (home / "auth.ini").write_text(
        "[mlflow]\ndefault_permission = READ\n"
        f"database_uri = sqlite:///{home / 'users.db'}\nadmin_username = admin\n"
        "auth_cache_ttl_seconds = 60\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    with serving(
        home,
        database,
        *("--app-name", "basic-auth"),
        MLFLOW_AUTH_CONFIG_PATH=str(home / "auth.ini"),
        MLFLOW_AUTH_ADMIN_PASSWORD=ADMIN.partition(":")[2],
        MLFLOW_FLASK_SERVER_SECRET_KEY="for this test alone",
    ) as uri:
        name, _, password = READER.partition(":")
        request = urllib.request.Request(
            f"{uri}/api/2.0/mlflow/users/create",
            json.dumps({"username": name, "password": password}).encode(),
            {
                "Content-Type": "application/json",
                "Authorization": f"Basic {b64encode(ADMIN.encode()).decode()}",
            },
        )
        with urllib.request.urlopen(request, timeout=20):
            yield uri


@pytest.fixture(scope="module")
def administrator(server: str) -> Registry:
    return Registry(server.replace("://", f"://{ADMIN}@"))


@pytest.fixture
def reader(server: str) -> Registry:
    return Registry(server.replace("://", f"://{READER}@"))


@pytest.fixture(scope="module")
def promoted(
    administrator: Registry,
    seal_bundle: Callable[..., Bundle],
    tmp_path_factory: pytest.TempPathFactory,
) -> Registry:
    """Version 1 is champion, version 2 challenger."""
    from pipeline.registry.push import push

    home = tmp_path_factory.mktemp("bundles")
    for fail_from in (0.8, 0.7):
        bundle = seal_bundle(home / str(fail_from), fail_from=fail_from)
        against = "" if fail_from == 0.8 else "cells/1"
        push(administrator, "cells", bundle, judged(bundle, against=against))
    Review(administrator, "cells").promote(1, "Ä. Weber", "first release")
    return administrator


def test_a_plain_user_reads_and_verifies(promoted: Registry, reader: Registry) -> None:
    champion = resolve(reader, "cells").version
    chain = SignoffLog(reader, "cells").read()
    assert chain.faults == ()
    assert chain.approval(champion).reviewer == "Ä. Weber"


def test_a_station_of_a_plain_user_starts_with_its_sign_off_verified(
    promoted: Registry, reader: Registry, tmp_path: Path
) -> None:
    line = Line(
        station="west-1",
        recipe="cells",
        model=ModelSource(registry=reader.uri, cache=tmp_path / "models", require_signoff=True),
        source=replay.Config(type="replay", path=tmp_path),
        ledger=tmp_path / "ledger.sqlite",
    )
    assert fetch_champion(line, reader)[1].name == "cells/1"


@pytest.mark.parametrize("act", ["promote", "reject", "rollback"])
def test_a_plain_user_decides_nothing_and_is_given_the_remedy(
    promoted: Registry, reader: Registry, act: str
) -> None:
    before = promoted.client.get_registered_model("cells").tags
    number = () if act == "rollback" else (2,)
    if act == "rollback":
        promoted.client.set_registered_model_alias("cells", "champion", "2")
    with pytest.raises(RegistryForbidden, match=r"may read cells .*\(403\).*grant MANAGE"):
        getattr(Review(reader, "cells"), act)(*number, "Mallory", "because")
    assert promoted.client.get_registered_model("cells").tags == before
    promoted.client.set_registered_model_alias("cells", "champion", "1")


def test_the_login_is_recorded_beside_the_reviewer(promoted: Registry, reader: Registry) -> None:
    chain = SignoffLog(promoted, "cells").read()
    assert [(r.reviewer, r.login) for r in chain.records[:1]] == [("Ä. Weber", "admin")]
    assert (promoted.login, reader.login) == ("admin", "reader")


def test_a_wrong_password_is_reported(server: str) -> None:
    wrong = Registry(server.replace("://", "://reader:wrong@"))
    with pytest.raises(RegistryUnreachable, match=r"wants a user and password \(401\)"):
        resolve(wrong, "cells")


def test_the_database_holds_the_same_without_the_server(promoted: Registry, database: str) -> None:
    direct = Registry(database)
    assert SignoffLog(direct, "cells").read() == SignoffLog(promoted, "cells").read()
    assert resolve(direct, "cells").version == resolve(promoted, "cells").version


def test_the_longest_texts_fit_in_the_database(promoted: Registry) -> None:
    quoted = '"' * 1000
    done = Review(promoted, "cells").reject(2, "ß" * 100, quoted)
    assert SignoffLog(promoted, "cells").read().last == done.record


def test_of_people_who_promote_at_once_one_wins(promoted: Registry) -> None:
    before = SignoffLog(promoted, "cells").read()
    start = Barrier(3)

    def promote(name: str) -> str:
        mine = Registry(promoted.uri)
        mine.versions("cells")
        start.wait(30)
        try:
            Review(mine, "cells").promote(2, name, "good", "rejected by mistake")
        except SignoffError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(3) as people:
        said = list(people.map(promote, ("Ann", "Bo", "Cy")))
    chain = SignoffLog(promoted, "cells").read()
    assert (chain.faults, chain.pending) == ((), ())
    new = chain.records[len(before.records) :]
    assert len(new) == said.count("") == 1
    assert all("moment" in s for s in said if s)
    assert chain.approval(resolve(promoted, "cells").version) == chain.last


def test_rollback_through_the_server_restores_the_champion(promoted: Registry) -> None:
    if resolve(promoted, "cells").version.version == 1:
        Review(promoted, "cells").promote(2, "Ann", "good", "rejected by mistake")
    assert Review(promoted, "cells").rollback("Ann", "misses cracks").version.version == 1
    assert resolve(promoted, "cells").version.version == 1
