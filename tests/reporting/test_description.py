"""What a reviewer reads of a version."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.contracts.evaluation import Check, CheckState, Comparison, Evaluation, Gate
from pipeline.reporting.description import describe
from pipeline.reporting.evaluation import Page


@pytest.fixture
def metrics() -> dict[str, Any]:
    rates = {
        "escape_rate": 0.0312,
        "overkill_rate": 0.0423,
        "review_rate": 0.1234,
        "accuracy": 0.8765,
        "macro_f1": 0.8543,
        "auroc": 0.9321,
        "average_precision": 0.9012,
    }
    found: dict[str, Any] = dict(rates)
    for name, value in rates.items():
        found[f"{name}_ci95"] = [value - 0.01, value + 0.02]
    return found | {
        "ece": 0.0567,
        "latency_ms_p50": 12.34,
        "latency_ms_p99": 45.67,
        "n_test": 525,
    }


@pytest.fixture
def evaluation(page: Page) -> Evaluation:
    promise = page.evaluation.promise | {
        "said": "at most 5 % escapes and 10 % overkill at 95 % confidence"
    }
    return page.evaluation.model_copy(update={"promise": promise, "notes": ()})


def noted(evaluation: Evaluation, *notes: str) -> Evaluation:
    """The same evaluation with these notes."""
    return evaluation.model_copy(update={"notes": notes})


def test_every_figure_stands_with_its_interval(
    sealed_bundle: Bundle, metrics: dict[str, Any], evaluation: Evaluation
) -> None:
    lines = describe(sealed_bundle, metrics, evaluation).splitlines()
    assert "| Escapes (bad parts passed) | 0.0312 | 0.0212 to 0.0512 |" in lines
    assert "| Overkill (good parts failed) | 0.0423 | 0.0323 to 0.0623 |" in lines
    assert "| Sent to review | 0.1234 | 0.1134 to 0.1434 |" in lines
    assert "| Accuracy | 0.8765 | 0.8665 to 0.8965 |" in lines
    assert "| Macro F1 | 0.8543 | 0.8443 to 0.8743 |" in lines
    assert "| AUROC | 0.9321 | 0.9221 to 0.9521 |" in lines
    assert "| Average precision | 0.9012 | 0.8912 to 0.9212 |" in lines
    assert "| Calibration error (ECE) | 0.0567 | |" in lines
    assert "| Latency p50 / p99 | 12.3 / 45.7 ms | |" in lines


def test_a_figure_that_does_not_exist_is_not_defined(
    sealed_bundle: Bundle, metrics: dict[str, Any], evaluation: Evaluation
) -> None:
    metrics |= {"escape_rate": None, "escape_rate_ci95": None}
    lines = describe(sealed_bundle, metrics, evaluation).splitlines()
    assert "| Escapes (bad parts passed) | not defined |  |" in lines


def test_a_figure_of_zero_is_a_figure(
    sealed_bundle: Bundle, metrics: dict[str, Any], evaluation: Evaluation
) -> None:
    metrics |= {"escape_rate": 0.0, "escape_rate_ci95": [0.0, 0.01]}
    said = describe(sealed_bundle, metrics, evaluation)
    assert "| Escapes (bad parts passed) | 0.0000 | 0.0000 to 0.0100 |" in said


def test_it_names_model_data_and_how_it_was_split(
    sealed_bundle: Bundle, metrics: dict[str, Any], evaluation: Evaluation
) -> None:
    assert describe(sealed_bundle, metrics, evaluation).splitlines()[2] == (
        "**brightness**: mean, weights none, method by hand, 10 training images, 525 test parts. "
        "Splits by module, 44 groups."
    )


def test_it_states_the_limits_and_the_promise_behind_them(
    sealed_bundle: Bundle, metrics: dict[str, Any], evaluation: Evaluation
) -> None:
    assert (
        "Limits: below 0.2000 PASS, from 0.8000 FAIL, between REVIEW; chosen for at most 5 % "
        "escapes and 10 % overkill at 95 % confidence."
    ) in describe(sealed_bundle, metrics, evaluation).splitlines()


def test_a_promise_the_data_cannot_support_is_called_so(
    sealed_bundle: Bundle, metrics: dict[str, Any], evaluation: Evaluation
) -> None:
    promise = evaluation.promise | {"supported": False}
    evaluation = evaluation.model_copy(update={"promise": promise})
    evaluation = noted(evaluation, "30 bad validation parts cannot prove it")
    said = describe(sealed_bundle, metrics, evaluation)
    assert "at 95 % confidence, which the data do not prove." in said
    assert "\n> 30 bad validation parts cannot prove it\n" in said


def test_it_ends_with_the_identity_and_the_command_to_sign_off(
    sealed_bundle: Bundle, metrics: dict[str, Any], evaluation: Evaluation
) -> None:
    last = describe(sealed_bundle, metrics, evaluation).splitlines()[-1]
    assert sealed_bundle.sha256 in last
    assert "lineside models promote brightness --version N --reviewer NAME --reason TEXT" in last


def test_the_gate_comes_first(
    sealed_bundle: Bundle, metrics: dict[str, Any], evaluation: Evaluation
) -> None:
    assert describe(sealed_bundle, metrics, evaluation).startswith("**Gate passed: 4 passed.**")


def test_a_failed_gate_names_what_failed_and_asks_for_an_override(
    sealed_bundle: Bundle, metrics: dict[str, Any], evaluation: Evaluation
) -> None:
    checks = (
        Check(name="leak", state=CheckState.PASSED, sentence="no leak"),
        Check(
            name="promise", state=CheckState.FAILED, sentence="escapes of 12 %, allowed are 10 %"
        ),
    )
    evaluation = evaluation.model_copy(update={"gate": Gate.of(checks)})
    lines = describe(sealed_bundle, metrics, evaluation).splitlines()
    assert lines[:2] == [
        "**Gate failed: 1 failed, 1 passed.**",
        "- promise failed: escapes of 12 %, allowed are 10 %",
    ]
    assert "--override WHY" in lines[-1]


def test_challenger_and_champion_stand_side_by_side(
    sealed_bundle: Bundle, metrics: dict[str, Any], evaluation: Evaluation
) -> None:
    lines = describe(sealed_bundle, metrics, evaluation).replace("\u00a0", " ").splitlines()
    assert "This model lets fewer bad parts pass than solar-cell/3; overkill is alike." in lines
    start = lines.index("| on the same 300 parts | challenger | champion | difference | in short |")
    assert lines[start - 1] == ""
    assert lines[start + 2].startswith("| Escapes | 4.8 % | 8.8 % | ")
    assert lines[start + 2].endswith(" | better |")


def test_without_a_champion_there_is_no_table(
    sealed_bundle: Bundle, metrics: dict[str, Any], evaluation: Evaluation
) -> None:
    evaluation = evaluation.model_copy(update={"comparison": Comparison(champion="")})
    said = describe(sealed_bundle, metrics, evaluation)
    assert "No champion is signed off yet." in said
    assert "| challenger |" not in said


def test_the_weakest_spots_stand_with_the_warnings(
    sealed_bundle: Bundle, metrics: dict[str, Any], evaluation: Evaluation
) -> None:
    said = describe(sealed_bundle, metrics, evaluation)
    assert "\n> Among poly cells the accuracy is lowest" in said
    assert "\n> Brightness breaks it first" in said


def test_it_names_the_place_of_the_report(
    sealed_bundle: Bundle, metrics: dict[str, Any], evaluation: Evaluation
) -> None:
    assert "`evaluate/report.html`" in describe(sealed_bundle, metrics, evaluation)


def test_a_warning_cannot_become_markup(
    sealed_bundle: Bundle, metrics: dict[str, Any], evaluation: Evaluation
) -> None:
    evaluation = noted(evaluation, "class <b>x</b> | [y](z)")
    said = describe(sealed_bundle, metrics, evaluation)
    assert "> class &lt;b&gt;x&lt;/b&gt; \\| \\[y\\](z)" in said


def crowd(n: int) -> list[str]:
    """Many warnings, told apart by their numbers; the eleventh says that the split leaks."""
    notes = [f"warning number {i:03d} is a sentence of some length" for i in range(n)]
    notes[10] = "the split is LEAKY: all figures flatter"
    return notes


@pytest.mark.parametrize("n", [20, 40, 60, 100, 1000])
def test_with_many_warnings_all_that_decides_stays_and_the_rest_is_counted(
    sealed_bundle: Bundle, metrics: dict[str, Any], evaluation: Evaluation, n: int
) -> None:
    notes = crowd(n)
    said = describe(sealed_bundle, metrics, noted(evaluation, *notes))
    assert len(said) <= 5000
    assert said.startswith("**Gate passed: 4 passed.**")
    assert "| Average precision | 0.9012" in said
    assert "challenger | champion | difference" in said
    assert said.splitlines()[-1].endswith("--reviewer NAME --reason TEXT`.")
    lines = said.splitlines()
    shown = [line for line in lines if line.startswith("> warning number")]
    assert shown == [f"> {w}" for w in notes if w.startswith("w")][: len(shown)]
    assert lines.index("> the split is LEAKY: all figures flatter") < lines.index(shown[0])
    left = n + 2 - 1 - len(shown) - sum(line.startswith(("> Among", "> Bright")) for line in lines)
    counted = f"> **{left} more warnings stand in the report, `evaluate/report.html`.**"
    assert (counted in lines) is (left > 0)


def test_warnings_that_fit_exactly_are_all_there(
    sealed_bundle: Bundle, metrics: dict[str, Any], evaluation: Evaluation
) -> None:
    room = 5000 - len(describe(sealed_bundle, metrics, evaluation))
    notes = []
    while room > 303:
        notes.append("x" * 200)
        room -= 204
    notes.append("y" * (room - 4))
    assert len(said := describe(sealed_bundle, metrics, noted(evaluation, *notes))) == 5000
    assert "more warning" not in said
    notes.append("z")
    assert len(said := describe(sealed_bundle, metrics, noted(evaluation, *notes))) <= 5000
    assert "more warnings stand" in said


@pytest.mark.parametrize("letter", ["a", "<", "_ "])
def test_no_sentence_takes_the_room_of_all_others(
    sealed_bundle: Bundle, metrics: dict[str, Any], evaluation: Evaluation, letter: str
) -> None:
    long = letter * 3000
    checks = tuple(
        Check(name=f"check {i}", state=CheckState.FAILED, sentence=long) for i in range(7)
    )
    compared = Comparison(champion="cells/3", not_run=long)
    evaluation = evaluation.model_copy(
        update={"gate": Gate.of(checks), "comparison": compared, "notes": (long,)}
    )
    said = describe(sealed_bundle, metrics, evaluation)
    assert len(said) <= 5000
    assert said.count(" …\n") == 9
    assert "| Escapes (bad parts passed) | 0.0312 |" in said
    assert "--override WHY" in said.splitlines()[-1]
