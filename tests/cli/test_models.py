"""`lineside models`: what a reviewer reads and decides."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import cli
from pipeline.contracts.signoff import Signoff
from pipeline.registry.decisions.keys import SigningKey
from pipeline.registry.push import push
from pipeline.registry.store import Registry
from tests.conftest import SealBundle
from tests.imports import ROOT
from tests.judgements import judge, judged
from tests.registries import copy_registry, registry_from

Models = Callable[..., tuple[int, str, str]]
SIGNED = ("--reviewer", "A. Weber", "--reason", "first release [pilot]")


@pytest.fixture(scope="session")
def registered(
    empty_registry: Path, seal_bundle: SealBundle, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with the registry of `reviewed`."""
    home = tmp_path_factory.mktemp("registered")
    registry = registry_from(empty_registry, home)
    first, second = seal_bundle(home / "bundle"), seal_bundle(home / "second", fail_from=0.7)
    for bundle, escape, gate in ((first, 0.03, "passed"), (second, 0.05, "failed")):
        push(
            registry,
            "cells",
            bundle,
            judged(
                bundle,
                gate,
                metrics={
                    "escape_rate": escape,
                    "escape_rate_ci95_low": escape - 0.02,
                    "escape_rate_ci95_high": escape + 0.02,
                    "auroc": 0.9,
                },
                params={"train.head.l2": str(escape), "train.seed": "0"},
                description="**worth** a look",
                git_commit="abc123",
                comparison="no significant difference",
            ),
        )
    return home


@pytest.fixture
def reviewed(registry: Registry, registered: Path, tmp_path: Path) -> Registry:
    """Two versions with figures; the second has failed its gate."""
    copy_registry(registered, tmp_path)
    return registry


@pytest.fixture
def models(
    reviewed: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Models:
    """Run `lineside models ...` there; returns exit code, stdout and stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        command = ["lineside", "models", *arguments, "--registry", reviewed.uri]
        monkeypatch.setattr(sys, "argv", command)
        code: Any = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        said = capsys.readouterr()
        return int(code), said.out, said.err

    return call


def asked(models: Models, *arguments: str) -> Any:
    code, said, _ = models(*arguments, "--json")
    assert code == 0
    return json.loads(said)


def test_list_shows_gate_and_review(models: Models) -> None:
    models("promote", "cells", "--version", "1", *SIGNED)
    _, said, _ = models("list", "cells")
    (one,) = (line for line in said.splitlines() if "champion" in line and "│" in line)
    assert "passed" in one
    assert "approved by A. Weber" in one
    assert "first release [pilot]" in one
    (two,) = (line for line in said.splitlines() if "challenger" in line)
    assert [cell.strip() for cell in two.strip("│").split("│")][-2:] == ["failed", "pending"]


def test_list_as_json_holds_the_versions_and_what_does_not_verify(
    models: Models, reviewed: Registry
) -> None:
    models("promote", "cells", "--version", "1", *SIGNED)
    seen = asked(models, "list", "cells")
    assert [v["version"] for v in seen["versions"]] == [1, 2]
    assert (seen["recipe"], seen["faults"], seen["disagreement"]) == ("cells", [], "")
    reviewed.client.delete_registered_model_tag("cells", "signoff.head")
    reviewed.client.delete_registered_model_alias("cells", "champion")
    assert "took effect" in asked(models, "list", "cells")["faults"][0]


def test_list_still_shows_the_sign_off_of_an_older_lineside(
    models: Models, reviewed: Registry
) -> None:
    for key, value in (("reviewer", "A. Weber"), ("at", "2026-01-02T03:04:05"), ("reason", "ok")):
        reviewed.client.set_model_version_tag("cells", "1", f"signoff.{key}", value)
    reviewed.client.set_registered_model_alias("cells", "champion", "1")
    _, said, _ = models("list", "cells")
    assert "signed off by A. Weber, 2026-01-02: ok" in said
    assert "cells/1 bears the alias champion without a sign-off (promoted by an older" in said


def test_show_prints_all_a_reviewer_asks(models: Models, reviewed: Registry) -> None:
    _, said, _ = models("show", "cells")
    version = reviewed.version("cells", 2)
    for words in (
        *(
            "cells/2",
            "challenger",
            "failed",
            "no significant difference",
            "abc123",
            "worth a look",
            "auroc",
        ),
        *("0.0500", "0.0300 to 0.0700", version.bundle_sha256, version.run_id, "mlruns/cells"),
    ):
        assert words in said


def test_show_of_a_version_by_alias_holds_its_sign_offs(models: Models) -> None:
    models("promote", "cells", "--version", "1", *SIGNED)
    models("reject", "cells", "--version", "2", *SIGNED)
    shown = asked(models, "show", "cells", "champion")
    assert shown["version"]["version"] == 1
    assert shown["figures"]["escape_rate"] == {
        "value": 0.03,
        "low": pytest.approx(0.01),
        "high": 0.05,
    }
    assert [r["reviewer"] for r in shown["signoffs"]] == ["A. Weber"]
    assert shown["faults"] == []


def test_show_of_a_version_whose_run_was_deleted_notes_it(
    models: Models, reviewed: Registry
) -> None:
    reviewed.client.delete_run(reviewed.version("cells", 1).run_id)
    code, said, _ = models("show", "cells", "1")
    assert code == 0
    assert "its run was deleted in MLflow" in said


def test_show_of_an_unknown_recipe_is_one_message(models: Models) -> None:
    code, said, complaint = models("show", "strips")
    assert (code, said) == (2, "")
    assert 'recipe "strips" is not registered' in complaint


@pytest.mark.parametrize("shape", [(), ("--json",)])
@pytest.mark.parametrize(
    "command",
    [
        ("list", "cels"),
        ("show", "cels", "1"),
        ("compare", "cels", "1", "2"),
        ("history", "cels"),
        ("promote", "cels", "--version", "1", *SIGNED),
        ("reject", "cels", "--version", "1", *SIGNED),
        ("rollback", "cels", *SIGNED),
    ],
    ids=lambda command: command[0],
)
def test_an_unknown_recipe_is_an_error_that_names_the_known_ones(
    models: Models, command: tuple[str, ...], shape: tuple[str, ...]
) -> None:
    code, said, complaint = models(*command, *shape)
    assert (code, said) == (2, "")
    assert 'recipe "cels" is not registered at' in complaint
    assert 'did you mean "cells"? choose cells' in complaint


@pytest.mark.parametrize("recipe", ["", " ", "cell's", 'a"b', "a/b", "a:b", "a\\b", "a\nb"])
@pytest.mark.parametrize("command", ["list", "show", "history"])
def test_a_name_that_no_model_can_bear_is_refused_in_a_sentence(
    models: Models, command: str, recipe: str
) -> None:
    code, said, complaint = models(command, recipe)
    assert (code, said) == (2, "")
    assert "cannot name a registered model" in complaint
    assert "a folder under conf/" in complaint


def test_a_recipe_whose_versions_were_all_deleted_is_not_an_unknown_one(
    models: Models, reviewed: Registry
) -> None:
    for number in ("1", "2"):
        reviewed.client.delete_model_version("cells", number)
    assert models("list", "cells")[:2] == (
        0,
        "no version of cells is registered; run: make repro\n",
    )
    assert asked(models, "list", "cells")["versions"] == []


def test_compare_puts_figures_and_differing_settings_side_by_side(models: Models) -> None:
    seen = asked(models, "compare", "cells", "1", "challenger")
    assert (seen["a"], seen["b"]) == ("cells/1", "cells/2")
    assert seen["figures"]["escape_rate"]["difference"] == pytest.approx(0.02)
    assert seen["figures"]["auroc"]["difference"] == 0
    assert seen["params"]["train.head.l2"] == {"a": "0.03", "b": "0.05"}
    assert set(seen["params"]) == {"bundle_sha256", "gate", "train.head.l2"}


def test_compare_prints_tables_with_intervals(models: Models) -> None:
    _, said, _ = models("compare", "cells", "1", "2")
    (row,) = (line for line in said.splitlines() if "escape_rate" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        *("escape_rate", "0.0300 (0.0100 to 0.0500)", "0.0500 (0.0300 to 0.0700)", "+0.0200")
    ]


def test_a_failed_gate_is_promoted_with_an_override_only(models: Models) -> None:
    code, _, complaint = models("promote", "cells", "--version", "2", *SIGNED)
    assert code == 2
    assert "cells/2 cannot be promoted: it failed the gate" in complaint
    done = asked(models, "promote", "cells", "--version", "2", *SIGNED, "--override", "trial")
    assert done["said"] == "cells/2 is now the champion"
    assert (done["record"]["gate"], done["record"]["override_reason"]) == ("failed", "trial")
    assert done["version"]["aliases"] == ["challenger", "champion"]


def test_what_is_not_proven_is_shown_and_promoted_when_it_is_accepted_by_name(
    models: Models, reviewed: Registry
) -> None:
    judge(reviewed, 1, "not proven")
    line = "escapes not proven: 1 of 9 bad test parts pass; 504 more would prove it"
    reviewed.client.set_model_version_tag("cells", "1", "gate.not_proven", line)
    said = " ".join(models("show", "cells", "1")[1].split())
    assert f"gate not proven {line}" in said
    code, _, complaint = models("promote", "cells", "--version", "1", *SIGNED)
    assert (code, "--accept escapes" in complaint) == (2, True)
    done = asked(models, "promote", "cells", "--version", "1", *SIGNED, "--accept", "escapes")
    assert done["record"]["accepted"] == ["escapes"]
    assert "accepted as not proven: escapes" in " ".join(models("history", "cells")[1].split())


def test_a_promotion_warns_of_files_that_stations_elsewhere_cannot_fetch(
    models: Models, reviewed: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said, warned = models("promote", "cells", "--version", "1", *SIGNED)
    assert (code, said) == (0, "cells/1 is now the champion\n")
    assert warned.startswith(f"warning: cells/1: its files lie in {tmp_path / 'mlruns'}")
    assert "docs/review.md" in warned
    again = asked(models, "promote", "cells", "--version", "1", *SIGNED)
    assert "stations on other machines cannot fetch them" in again["warning"]
    monkeypatch.setattr(Registry, "source", lambda *_: "mlflow-artifacts:/1/models/m-2/artifacts")
    assert "warning" not in asked(models, "promote", "cells", "--version", "1", *SIGNED)


def test_reject_and_rollback_report_what_they_did(models: Models) -> None:
    assert models("reject", "cells", "--version", "2", *SIGNED)[1] == "cells/2 is rejected\n"
    code, _, complaint = models("rollback", "cells", *SIGNED)
    assert code == 2
    assert "no previous champion" in complaint


@pytest.mark.parametrize("given", [("1",), ("--version", "1"), ("1", "--version", "1")])
def test_every_command_takes_the_version_by_position_and_as_an_option(
    models: Models, given: tuple[str, ...]
) -> None:
    assert models("promote", "cells", *given, *SIGNED)[1].startswith("cells/1 is now the champion")
    assert asked(models, "show", "cells", *given)["version"]["version"] == 1
    assert models("withdraw", "cells", *given, *SIGNED)[1].startswith("cells/1 is withdrawn")
    assert models("reject", "cells", *given, *SIGNED)[1] == "cells/1 is rejected\n"


@pytest.mark.parametrize(
    "given", [("1", "2"), ("--version", "1", "--version", "2"), ("1", "--version", "2")]
)
def test_two_versions_are_compared_by_position_and_as_options(
    models: Models, given: tuple[str, ...]
) -> None:
    found = asked(models, "compare", "cells", *given)
    assert (found["a"], found["b"]) == ("cells/1", "cells/2")


def test_no_version_and_two_that_differ_are_refused_with_what_to_give(models: Models) -> None:
    code, _, complaint = models("promote", "cells", *SIGNED)
    assert code == 2
    assert "no version is given; give one, a number or an alias, after cells or as" in complaint
    _, _, complaint = models("reject", "cells", "1", "--version", "2", *SIGNED)
    assert "VERSION is 1 and --version 2; give one" in complaint
    _, _, complaint = models("compare", "cells", "1")
    assert "give two versions to compare, not 1: lineside models compare cells 1 2" in complaint


def test_a_key_signs_the_decision_and_history_shows_so(models: Models, tmp_path: Path) -> None:
    key = SigningKey.make(tmp_path / "weber.pem")
    models("promote", "cells", "1", *SIGNED, "--key", str(tmp_path / "weber.pem"))
    (record,) = asked(models, "history", "cells")["records"]
    assert record["key"] == key.public
    assert "A. Weber, signed" in models("history", "cells")[1]
    code, _, complaint = models("reject", "cells", "2", *SIGNED, "--key", "nowhere.pem")
    assert code == 2
    assert "the key nowhere.pem cannot be read" in complaint


def line_that_wants(home: Path, recipe: str, *wanted: str) -> Path:
    """The demo's line file, in a project of its own, with other wishes of sign-offs."""
    file = home / "conf/lines/west.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    text = (ROOT / "conf/lines/demo.yaml").read_text()
    text = text.replace("recipe: solar-cell", f"recipe: {recipe}")
    head, _, rest = text.partition("\nmodel:\n")
    body = "".join(f"  {line}\n" for line in ("require_signoff: true", *wanted))
    kept = "\n".join(row for row in rest.splitlines() if "require_signoff" not in row)
    file.write_text(f"{head}\nmodel:\n{body}{kept}\n")
    return file


def test_a_sign_off_that_a_station_would_refuse_is_not_made(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line_that_wants(tmp_path, "cells", "require_login: true")
    code, _, said = models("promote", "cells", "1", *SIGNED)
    assert code == 2
    assert "conf/lines/west.yaml: the sign-off names the reviewer A. Weber" in said
    assert "nothing was decided" in said
    assert "nobody has decided" in models("history", "cells")[1]


def test_the_line_files_of_other_recipes_do_not_matter_unless_named(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = line_that_wants(tmp_path, "wafers", "require_login: true")
    code, _, said = models("promote", "cells", "1", *SIGNED, "--line", str(file))
    assert code == 2
    assert "recipe is wafers; the decision is of cells" in said
    assert models("promote", "cells", "1", *SIGNED)[0] == 0


def test_a_decision_without_a_signers_key_is_not_made(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    key = SigningKey.make(tmp_path / "weber.pem")
    line_that_wants(tmp_path, "cells", f'signers: {{A. Weber: "{key.public}"}}')
    for command in (("promote", "cells", "1"), ("rollback", "cells")):
        code, _, said = models(*command, *SIGNED)
        assert code == 2
        assert "the decision is not signed (model.signers in the line file: A. Weber)" in said
    assert models("promote", "cells", "1", *SIGNED, "--key", str(tmp_path / "weber.pem"))[0] == 0


def test_withdraw_reports_what_stations_do_then(models: Models) -> None:
    models("promote", "cells", "--version", "1", *SIGNED)
    _, _, complaint = models("rollback", "cells", *SIGNED)
    assert "lineside models withdraw cells --version 1" in complaint
    code, said, _ = models("withdraw", "cells", "--version", "1", *SIGNED)
    assert code == 0
    assert "stations with require_signoff inspect nothing until a version is promoted" in said


def test_history_shows_each_decision_and_that_all_verify(models: Models) -> None:
    models("promote", "cells", "--version", "1", *SIGNED)
    models("reject", "cells", "--version", "2", *SIGNED)
    code, said, _ = models("history", "cells")
    assert code == 0
    assert "verified: 2 record(s), the last is 0002." in said
    assert [r["act"] for r in asked(models, "history", "cells")["records"]] == ["promote", "reject"]


def test_history_shows_decisions_that_were_interrupted_and_overtaken(
    models: Models, reviewed: Registry
) -> None:
    interrupted = Signoff(
        seq=1,
        act="reject",
        recipe="cells",
        version=2,
        bundle_sha256="ab",
        reviewer="B. Sato",
        reason="misses cracks",
        at="2026-11-22T09:00:00.000000+00:00",
        gate="failed",
        previous=None,
        parent="",
    ).sealed()
    reviewed.client.set_registered_model_tag(
        "cells", f"signoff.{interrupted.name}", interrupted.model_dump_json()
    )
    assert "B. Sato is deciding about cells/2" in models("history", "cells")[1]
    models("promote", "cells", "--version", "1", *SIGNED)
    code, said, _ = models("history", "cells")
    assert code == 0
    assert f"a decision of B. Sato to reject cells/2 ({interrupted.name}, at" in said
    assert "was interrupted or overtaken; it has no effect" in said
    assert asked(models, "history", "cells")["lost"] == [interrupted.model_dump()]


def test_history_of_an_untouched_recipe_reports_it(models: Models) -> None:
    assert models("history", "cells")[1] == "nobody has decided about a version of cells yet\n"


def test_history_names_what_does_not_verify_and_ends_with_one(
    models: Models, reviewed: Registry
) -> None:
    record = asked(models, "promote", "cells", "--version", "1", *SIGNED)["record"]
    name = f"0001.{record['sha256'][:8]}"
    forged = json.dumps(record | {"reviewer": "C. Forger"})
    reviewed.client.set_registered_model_tag("cells", f"signoff.{name}", forged)
    code, said, _ = models("history", "cells")
    assert code == 1
    assert f"DOES NOT VERIFY: record {name} was altered" in said
    assert "verified:" not in said


def test_history_reports_a_decision_whose_alias_did_not_follow(
    models: Models, reviewed: Registry
) -> None:
    models("promote", "cells", "--version", "1", *SIGNED)
    reviewed.client.delete_registered_model_alias("cells", "champion")
    _, said, _ = models("history", "cells")
    assert "cells/1 was signed off and the alias champion is gone: the command was cut off" in said
    assert "repeat what was signed off last: lineside models promote cells --version 1" in said


def test_history_reports_that_the_champion_was_deleted(models: Models, reviewed: Registry) -> None:
    models("promote", "cells", "--version", "1", *SIGNED)
    reviewed.client.delete_model_version("cells", "1")
    _, said, _ = models("history", "cells")
    assert "cells/1, which was signed off, was deleted in MLflow" in said
