"""The `lineside` command: what it prints, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import __version__, cli
from pipeline.contracts.bundle import Bundle
from pipeline.contracts.evaluation import Check, CheckState, Gate
from pipeline.registry.decisions.review import Review
from pipeline.registry.push import push
from pipeline.registry.store import Registry
from tests.judgements import judged

Run = Callable[..., tuple[int, str, str]]

LINE = """\
station: west-1
recipe: cells
model:
  registry: http://ann:secret@127.0.0.1:9
  cache: cache
source:
  type: replay
  path: nowhere
ledger: ledger.sqlite
"""


@pytest.fixture
def lineside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run the command in an empty folder; returns exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["lineside", *arguments])
        code: Any = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        said = capsys.readouterr()
        return int(code), said.out, said.err

    return call


@pytest.fixture
def registered(registry: Registry, sealed_bundle: Bundle) -> Registry:
    push(registry, "cells", sealed_bundle, judged(sealed_bundle))
    return registry


def test_version_is_printed(lineside: Run) -> None:
    assert lineside("--version") == (0, f"lineside {__version__}\n", "")


def test_brackets_in_a_message_survive(lineside: Run, tmp_path: Path) -> None:
    _, _, complaint = lineside("check", "conf/[red]line[/red].yaml")
    assert "conf/[red]line[/red].yaml: no such file" in complaint


def test_promotion_and_rollback_need_a_version_that_is_there(
    lineside: Run, registered: Registry
) -> None:
    uri = ("--registry", registered.uri, "--reviewer", "A. Weber", "--reason", "because")
    code, said, _ = lineside("models", "promote", "cells", "--version", "1", *uri)
    assert (code, said) == (0, "cells/1 is now the champion\n")
    code, _, complaint = lineside("models", "promote", "cells", "--version", "2", *uri)
    assert code == 2
    assert "versions there: 1" in complaint
    code, _, complaint = lineside("models", "rollback", "cells", *uri)
    assert code == 2
    assert "no previous champion" in complaint


def test_list_as_json_is_readable_by_scripts(lineside: Run, registered: Registry) -> None:
    code, said, _ = lineside("models", "list", "cells", "--registry", registered.uri, "--json")
    (version,) = json.loads(said)["versions"]
    assert code == 0
    assert (version["version"], version["aliases"]) == (1, ["challenger"])


def test_list_shows_who_signed_off(lineside: Run, registered: Registry) -> None:
    Review(registered, "cells").promote(1, "A. Weber", "first release [pilot]")
    _, said, _ = lineside("models", "list", "cells", "--registry", registered.uri)
    assert "challenger, champion" in said
    assert "A. Weber, 2026-11-22: first release [pilot]" in said


def test_list_without_a_registry_explains_how_to_get_one(lineside: Run) -> None:
    code, _, complaint = lineside("models", "list", "cells")
    assert code == 2
    assert "no registry there yet; run `make repro`" in complaint


METRICS = {
    "accuracy": 0.874,
    "accuracy_ci95": [0.85, 0.9],
    "escape_rate": 0.0312,
    "escape_rate_ci95": [0.012, 0.065],
    "overkill_rate": None,
    "review_rate": 0.1,
    "review_rate_ci95": [0.08, 0.13],
    "auroc": 0.9213,
    "n_test": 512,
    "latency_ms_p50": 6.12,
}
EVALUATION = {"notes": ["the split leaks [3 pairs]"]}


def build(root: Path, metrics: dict[str, object], registration: dict[str, object] | None) -> None:
    folder = root / "data" / "cells"
    for stage, value in (("evaluate/metrics", metrics), ("register/registration", registration)):
        if value is not None:
            (folder / f"{stage}.json").parent.mkdir(parents=True)
            (folder / f"{stage}.json").write_text(json.dumps(value))
    (folder / "evaluate/evaluation.json").write_text(json.dumps(EVALUATION))


def test_summary_shows_rates_with_intervals_and_the_next_commands(
    lineside: Run, tmp_path: Path
) -> None:
    build(tmp_path, METRICS, {"name": "cells", "version": 3, "alias": "challenger"})
    (tmp_path / "conf" / "lines").mkdir(parents=True)
    (tmp_path / "conf" / "lines" / "west.yaml").write_text(LINE)
    code, said, _ = lineside("summary", "cells")
    assert code == 0
    assert "512 test images" in said
    for words in ("87.4%", "3.1%", "95 % interval 1.2% to 6.5%", "not measured", "[3 pairs]"):
        assert words in said
    assert "models promote cells --version 3 --reviewer NAME --reason TEXT" in said
    assert "run conf/lines/west.yaml" in said


def test_summary_shows_what_the_gate_holds_and_the_command_that_accepts_it(
    lineside: Run, tmp_path: Path
) -> None:
    build(tmp_path, METRICS, {"name": "cells", "version": 3, "alias": "challenger"})
    gate = Gate.of(
        (
            Check(name="escapes", state=CheckState.NOT_PROVEN, sentence="7 of 171 bad parts pass"),
            Check(name="review", state=CheckState.ATTENTION, sentence="a person sees 72.8 %"),
            Check(name="leak", state=CheckState.PASSED, sentence="none is known"),
        )
    )
    evaluation = {**EVALUATION, "gate": gate.model_dump(mode="json", by_alias=True)}
    (tmp_path / "data/cells/evaluate/evaluation.json").write_text(json.dumps(evaluation))
    _, said, _ = lineside("summary", "cells")
    assert "Gate not proven: 1 not proven, 1 attention, 1 passed" in said
    assert "escapes not proven: 7 of 171 bad parts pass" in said
    assert "review attention: a person sees 72.8 %" in said
    assert "leak passed" not in said
    assert "--version 3 --reviewer NAME --reason TEXT --accept escapes" in said


def test_summary_of_all_recipes_reads_their_list(lineside: Run, tmp_path: Path) -> None:
    build(tmp_path, METRICS, None)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "recipes.yaml").write_text("recipes:\n  - cells\n")
    code, said, _ = lineside("summary")
    assert code == 0
    assert "not registered yet" in said


def test_summary_before_anything_is_built_names_what_to_run(lineside: Run) -> None:
    code, _, complaint = lineside("summary", "cells")
    assert code == 2
    assert "nothing is built yet for cells" in complaint
    assert "make repro" in complaint


HEAVY = {"torch", "torchvision", "timm", "mlflow", "cv2", "sqlalchemy", "pandas", "onnxruntime"}
LOADED = """
import sys
from pipeline import cli
sys.argv = ["lineside", *sys.argv[1:]]
try:
    cli.main()
except SystemExit as end:
    assert not end.code, end.code
print("loaded:", *{module.partition(".")[0] for module in sys.modules})
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "unwanted"),
    [
        ("--help", HEAVY | {"numpy", "pydantic"}),
        ("--version", HEAVY | {"numpy", "pydantic"}),
        ("run --help", HEAVY | {"numpy"}),
        ("models --help", HEAVY | {"numpy"}),
        ("models promote --help", HEAVY | {"numpy"}),
        ("data --help", HEAVY | {"numpy"}),
        ("architectures", HEAVY),
    ],
)
def test_what_needs_no_heavy_module_imports_none(command: str, unwanted: set[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LOADED, *command.split()],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = ended.stdout.rpartition("loaded:")[2].split()
    assert unwanted & {*loaded} == set()
