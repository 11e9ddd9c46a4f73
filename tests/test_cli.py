"""The `lineside` command: what it prints, and its exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import __version__, cli
from pipeline.contracts.bundle import Bundle
from pipeline.registry.decisions.review import Review
from pipeline.registry.push import push
from pipeline.registry.store import Registry
from tests.judgements import judged
from tests.stages.conftest import copy_cells

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


def test_check_says_what_the_line_would_do_and_touches_nothing(
    lineside: Run, tmp_path: Path
) -> None:
    (tmp_path / "line.yaml").write_text(LINE)
    code, said, _ = lineside("check", "line.yaml")
    assert code == 0
    assert "models:/cells@champion from http://***@127.0.0.1:9" in said
    assert "replay (path nowhere" in said
    assert [p.name for p in tmp_path.iterdir()] == ["line.yaml"]


def test_check_of_a_wrong_line_ends_with_file_and_line(lineside: Run, tmp_path: Path) -> None:
    (tmp_path / "line.yaml").write_text(LINE.replace("ledger:", "leger:"))
    code, said, complaint = lineside("check", "line.yaml")
    assert (code, said) == (2, "")
    assert complaint.startswith("error: line.yaml")
    assert 'line.yaml:9 key "leger" unknown; did you mean "ledger"?' in complaint
    assert "Traceback" not in complaint


def test_brackets_in_a_message_survive(lineside: Run, tmp_path: Path) -> None:
    _, _, complaint = lineside("check", "conf/[red]line[/red].yaml")
    assert "conf/[red]line[/red].yaml: no such file" in complaint


def test_run_with_a_missing_folder_ends_with_one_message(lineside: Run, tmp_path: Path) -> None:
    (tmp_path / "line.yaml").write_text(LINE)
    code, _, complaint = lineside("run", "line.yaml")
    assert code == 2
    assert "source.path nowhere is no folder" in complaint
    assert [p.name for p in tmp_path.iterdir()] == ["line.yaml"]


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


def test_list_without_a_registry_says_how_to_get_one(lineside: Run) -> None:
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
    "notes": ["the split leaks [3 pairs]"],
}


def build(root: Path, metrics: dict[str, object], registration: dict[str, object] | None) -> None:
    folder = root / "data" / "cells"
    for stage, value in (("evaluate/metrics", metrics), ("register/registration", registration)):
        if value is not None:
            (folder / f"{stage}.json").parent.mkdir(parents=True)
            (folder / f"{stage}.json").write_text(json.dumps(value))


def test_summary_tells_rates_with_intervals_and_the_next_commands(
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


def test_summary_of_all_recipes_reads_their_list(lineside: Run, tmp_path: Path) -> None:
    build(tmp_path, METRICS, None)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "recipes.yaml").write_text("recipes:\n  - cells\n")
    code, said, _ = lineside("summary")
    assert code == 0
    assert "not registered yet" in said


def test_summary_before_anything_is_built_says_what_to_run(lineside: Run) -> None:
    code, _, complaint = lineside("summary", "cells")
    assert code == 2
    assert "nothing is built yet for cells" in complaint
    assert "make repro" in complaint


def test_importing_the_command_brings_nothing_heavy() -> None:
    import subprocess

    heavy = ["torch", "mlflow", "onnxruntime", "cv2", "numpy", "pandas"]
    code = f"import sys, pipeline.cli; print([m for m in {heavy} if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_data_check_gives_a_ci_job_json_and_exit_code_one_for_a_leak(
    lineside: Run, tmp_path: Path
) -> None:
    copy_cells(tmp_path / "images/train", per_class=4)
    original = next((tmp_path / "images/train/good").glob("*.png"))
    (tmp_path / "images/test/good").mkdir(parents=True)
    (tmp_path / "images/test/good/copy.png").write_bytes(original.read_bytes())
    code, said, _ = lineside("data", "check", "images", "--json")
    report = json.loads(said)
    assert code == 1
    assert {"n", "classes", "leaky", "identical_pairs", "near_duplicate_groups"} <= set(report)
    assert {"label_conflicts", "corrupt", "splits"} <= set(report)
    assert (report["n"], report["leaky"], report["identical_pairs"]) == (9, True, 1)


def test_data_check_of_a_clean_tree_ends_well(lineside: Run, tmp_path: Path) -> None:
    copy_cells(tmp_path / "images", per_class=3)
    code, said, _ = lineside("data", "check", "images")
    assert code == 0
    assert "6 images; split: none given" in said


def test_data_check_of_a_missing_folder_is_one_message(lineside: Run) -> None:
    code, _, complaint = lineside("data", "check", "nowhere")
    assert code == 2
    assert complaint.startswith("error: nowhere is not a folder")


def test_data_check_writes_the_page_and_names_it(lineside: Run, tmp_path: Path) -> None:
    copy_cells(tmp_path / "images", per_class=3)
    code, said, _ = lineside("data", "check", "images", "--html", "out/page.html")
    assert code == 0
    assert "page: out/page.html" in said
    assert "OK: no damaged file" in (tmp_path / "out/page.html").read_text("utf-8")


def test_data_check_tells_modes_tiny_classes_and_what_the_suspects_are_worth(
    lineside: Run, tmp_path: Path
) -> None:
    copy_cells(tmp_path / "images", per_class=6)
    _, said, _ = lineside("data", "check", "images")
    assert "stored as grey 12; sizes 300x300 12" in said
    assert "tiny class good: no mistake on all 6 images" in said
    assert "a cheap classifier recognises" in said


def test_a_page_that_cannot_be_written_is_one_message(lineside: Run, tmp_path: Path) -> None:
    copy_cells(tmp_path / "images", per_class=3)
    (tmp_path / "file").touch()
    code, said, complaint = lineside("data", "check", "images", "--html", "file/page.html")
    assert (code, said) == (2, "")
    assert complaint.startswith("error: --html file/page.html cannot be written")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["foo://bar"], "unsupported filesystem: 'foo'"),
        (["images", "--type", "csv"], "--type csv needs more than a folder"),
        (["images", "--type", "coco"], "--type coco needs more than a folder"),
        (["images", "--type", "labelstudio"], "--type labelstudio needs more than a folder"),
        (["nowhere", "--html", ""], "--html . cannot be written"),
        (["x" * 300], "cannot be looked at (File name too long)"),
    ],
)
def test_a_mistake_in_data_check_is_one_message(
    lineside: Run, arguments: list[str], said: str
) -> None:
    code, _, complaint = lineside("data", "check", *arguments)
    assert code == 2
    assert complaint.startswith("error: ")
    assert said in complaint


def test_data_check_of_corrupt_files_alone_lists_them_for_a_ci_job(
    lineside: Run, tmp_path: Path
) -> None:
    for name in ("good", "bad"):
        (tmp_path / "images" / name).mkdir(parents=True)
        (tmp_path / "images" / name / "a\x1b[31m.png").write_text("no image")
        (tmp_path / "images" / name / "b.png").write_text("no image")
    code, said, _ = lineside("data", "check", "images", "--json", "--html", "page.html")
    report = json.loads(said)
    assert (code, report["n"], len(report["corrupt"])) == (1, 0, 4)
    assert report["corrupt"][0]["path"] == "bad/a\\x1b[31m.png"
    assert (tmp_path / "page.html").is_file()
