"""Promotion, rejection and rollback, against a real MLflow database."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from pipeline.contracts.bundle import Bundle
from pipeline.errors import ModelWithdrawn, NoChampion, RegistryError, SignoffError
from pipeline.registry.decisions.review import Outcome, Review
from pipeline.registry.decisions.signoffs import SignoffLog
from pipeline.registry.push import Registration
from pipeline.registry.resolution import resolve
from pipeline.registry.store import Registry
from tests.judgements import judge, run_file

Register = Callable[[Registry, Bundle], Registration]


def aliases(registry: Registry) -> dict[int, tuple[str, ...]]:
    return {v.version: v.aliases for v in registry.versions("cells")}


def forget_judgement(registry: Registry, version: int) -> None:
    """As an older Lineside registered it: without a verdict, without the file."""
    registry.client.delete_model_version_tag("cells", str(version), "gate")
    run_file(registry, version, "evaluate/evaluation.json").unlink()


def test_promotion_notes_who_why_and_when(two_versions: Registry) -> None:
    done = Review(two_versions, "cells").promote(1, "A. Weber", "first release")
    assert done.summary == "cells/1 is now the champion"
    assert "champion" in done.version.aliases
    assert {k: v for k, v in done.version.tags.items() if k.startswith("review.")} == {
        "review.status": "approved",
        "review.by": "A. Weber",
        "review.at": "2026-11-22T12:00:00Z",
        "review.reason": "first release",
        "review.record": done.record.name if done.record else "",
    }


def test_the_sign_off_is_a_record_of_the_recipe_and_a_file_of_the_run(
    two_versions: Registry,
) -> None:
    done = Review(two_versions, "cells").promote(1, "A. Weber", "first release")
    chain = SignoffLog(two_versions, "cells").read()
    assert chain.faults == ()
    assert chain.records == (done.record,)
    assert done.record is not None
    assert done.record.bundle_sha256 == done.version.bundle_sha256
    assert (done.record.gate, done.record.previous, done.record.parent) == ("passed", None, "")
    (file,) = two_versions.client.list_artifacts(done.version.run_id, "signoff")
    kept = two_versions.client.download_artifacts(done.version.run_id, file.path)
    assert json.loads(Path(kept).read_text()) == done.record.model_dump()


def test_promotion_keeps_the_former_champion_as_previous(two_versions: Registry) -> None:
    Review(two_versions, "cells").promote(1, "A. Weber", "first release")
    done = Review(two_versions, "cells").promote(2, "A. Weber", "fewer escapes")
    assert aliases(two_versions) == {1: ("previous",), 2: ("challenger", "champion")}
    assert done.summary == "cells/2 is now the champion; cells/1 is kept as previous"


def test_promoting_the_champion_again_changes_nothing(two_versions: Registry) -> None:
    Review(two_versions, "cells").promote(1, "A. Weber", "first release")
    before = two_versions.versions("cells")
    done = Review(two_versions, "cells").promote(1, "B. Other", "again")
    assert "already" in done.summary
    assert two_versions.versions("cells") == before
    assert len(SignoffLog(two_versions, "cells").read().records) == 1


def test_a_version_can_be_named_by_its_alias(two_versions: Registry) -> None:
    assert (
        Review(two_versions, "cells").promote("challenger", "A. Weber", "good").version.version == 2
    )


def test_promoting_an_unknown_version_names_those_there_are(two_versions: Registry) -> None:
    with pytest.raises(RegistryError, match=r"no version 7 .*versions there: 1, 2"):
        Review(two_versions, "cells").promote(7, "A. Weber", "typo")


@pytest.mark.parametrize(("reviewer", "reason"), [(" ", "good"), ("A. Weber", "")])
def test_promotion_without_reviewer_or_reason_is_refused(
    two_versions: Registry, reviewer: str, reason: str
) -> None:
    with pytest.raises(RegistryError, match="is empty"):
        Review(two_versions, "cells").promote(1, reviewer, reason)
    with pytest.raises(NoChampion):
        resolve(two_versions, "cells")


def test_a_reason_that_no_tag_can_hold_is_refused_before_anything_is_written(
    two_versions: Registry,
) -> None:
    with pytest.raises(RegistryError, match="reason cannot be recorded"):
        Review(two_versions, "cells").promote(1, "A. Weber", "x" * 1001)
    assert SignoffLog(two_versions, "cells").read().records == ()


def test_control_characters_in_a_reason_reach_no_terminal(two_versions: Registry) -> None:
    done = Review(two_versions, "cells").promote(1, "A. Weber", "good\x1b[31m\n\tlong\x00")
    assert done.record is not None
    assert done.record.reason == "good\\x1b[31m long\\x00"


@pytest.mark.parametrize(
    ("gate", "why"), [("failed", "it failed the gate"), ("unknown", "no result of the gate")]
)
def test_a_version_without_a_passed_gate_needs_an_override_that_is_recorded(
    two_versions: Registry, gate: str, why: str
) -> None:
    if gate == "failed":
        judge(two_versions, 1, gate)
    else:
        forget_judgement(two_versions, 1)
    with pytest.raises(RegistryError, match=rf"{why}.*--override TEXT"):
        Review(two_versions, "cells").promote(1, "A. Weber", "first release")
    assert SignoffLog(two_versions, "cells").read().records == ()
    done = Review(two_versions, "cells").promote(
        1, "A. Weber", "first release", "trial of the line"
    )
    assert done.record is not None
    assert (done.record.gate, done.record.override_reason) == (gate, "trial of the line")
    assert done.version.tags["review.reason"] == "first release (override: trial of the line)"


def test_an_override_that_was_not_needed_is_not_recorded_as_one(two_versions: Registry) -> None:
    done = Review(two_versions, "cells").promote(1, "A. Weber", "first release", "just in case")
    assert done.record is not None
    assert done.record.override_reason == ""
    assert "no override was needed" in done.summary


def test_a_rejected_version_is_not_a_challenger_and_needs_an_override(
    two_versions: Registry,
) -> None:
    done = Review(two_versions, "cells").reject(2, "B. Sato", "misses cracks")
    assert done.summary == "cells/2 is rejected"
    assert done.version.aliases == ()
    assert done.version.tags["review.status"] == "rejected"
    with pytest.raises(
        RegistryError, match=r"cells/2 cannot be promoted: it was rejected; .*--over"
    ):
        Review(two_versions, "cells").promote(2, "A. Weber", "looks fine")
    Review(two_versions, "cells").promote(2, "A. Weber", "looks fine", "the cracks were scratches")
    assert resolve(two_versions, "cells").version.tags["review.status"] == "approved"


def test_rejecting_twice_changes_nothing(two_versions: Registry) -> None:
    Review(two_versions, "cells").reject(2, "B. Sato", "misses cracks")
    done = Review(two_versions, "cells").reject(2, "A. Weber", "for a reason")
    assert done.summary == "cells/2 was rejected already by B. Sato; nothing changed"
    assert len(SignoffLog(two_versions, "cells").read().records) == 1


def test_rejecting_a_version_leaves_another_challenger_alone(two_versions: Registry) -> None:
    Review(two_versions, "cells").reject(1, "B. Sato", "misses cracks")
    assert aliases(two_versions) == {1: (), 2: ("challenger",)}


def test_the_champion_is_rolled_back_not_rejected(two_versions: Registry) -> None:
    Review(two_versions, "cells").promote(1, "A. Weber", "first release")
    with pytest.raises(RegistryError, match=r"the champion; withdraw it: .*withdraw .*rollback"):
        Review(two_versions, "cells").reject(1, "B. Sato", "misses cracks")


def test_the_only_champion_can_be_withdrawn(two_versions: Registry) -> None:
    Review(two_versions, "cells").promote(1, "A. Weber", "first release")
    done = Review(two_versions, "cells").withdraw(1, "B. Sato", "misses cracks")
    assert done.summary.startswith("cells/1 is withdrawn, so no version is signed off")
    assert aliases(two_versions) == {1: (), 2: ("challenger",)}
    tags = done.version.tags
    assert (tags["review.status"], tags["review.by"]) == ("withdrawn", "B. Sato")
    assert done.record is not None
    assert (done.record.act, done.record.version, done.record.previous) == ("withdraw", 1, None)
    chain = SignoffLog(two_versions, "cells").read()
    assert (chain.faults, chain.standing.champion) == ((), None)


def test_a_withdrawn_champion_leaves_the_one_before_as_previous_and_it_can_be_rolled_back_to(
    three_versions: Registry,
) -> None:
    Review(three_versions, "cells").withdraw("champion", "B. Sato", "misses cracks")
    assert aliases(three_versions) == {1: (), 2: ("previous",), 3: ()}
    done = Review(three_versions, "cells").rollback("B. Sato", "this one was good")
    assert done.summary.startswith("cells/2 is the champion again; its bundle was verified")
    assert resolve(three_versions, "cells", require_signoff=True).version.version == 2


def test_a_champion_withdrawn_may_be_promoted_again(two_versions: Registry) -> None:
    Review(two_versions, "cells").promote(1, "A. Weber", "first release")
    Review(two_versions, "cells").withdraw(1, "B. Sato", "misses cracks")
    done = Review(two_versions, "cells").promote(1, "B. Sato", "the camera was at fault")
    assert done.summary == "cells/1 is now the champion"
    assert resolve(two_versions, "cells", require_signoff=True).version.version == 1


def test_only_the_champion_is_withdrawn(two_versions: Registry) -> None:
    with pytest.raises(RegistryError, match=r"cells/2 is not the champion \(there is none\)"):
        Review(two_versions, "cells").withdraw(2, "B. Sato", "misses cracks")
    Review(two_versions, "cells").promote(1, "A. Weber", "first release")
    with pytest.raises(RegistryError, match=r"the champion is cells/1\).*models reject cells --v"):
        Review(two_versions, "cells").withdraw(2, "B. Sato", "misses cracks")


@pytest.mark.parametrize(("reviewer", "reason"), [(" ", "bad"), ("B. Sato", "")])
def test_a_withdrawal_without_reviewer_or_reason_is_refused(
    two_versions: Registry, reviewer: str, reason: str
) -> None:
    Review(two_versions, "cells").promote(1, "A. Weber", "first release")
    with pytest.raises(RegistryError, match="is empty"):
        Review(two_versions, "cells").withdraw(1, reviewer, reason)
    assert resolve(two_versions, "cells").version.version == 1


def test_withdrawing_twice_changes_nothing(two_versions: Registry) -> None:
    Review(two_versions, "cells").promote(1, "A. Weber", "first release")
    Review(two_versions, "cells").withdraw(1, "B. Sato", "misses cracks")
    done = Review(two_versions, "cells").withdraw(1, "A. Weber", "for a reason")
    assert done.summary == "cells/1 was withdrawn already by B. Sato; nothing changed"
    assert len(SignoffLog(two_versions, "cells").read().records) == 2


def test_a_champion_that_was_deleted_in_mlflow_can_be_withdrawn(two_versions: Registry) -> None:
    Review(two_versions, "cells").promote(1, "A. Weber", "first release")
    two_versions.client.delete_model_version("cells", "1")
    done = Review(two_versions, "cells").withdraw(1, "B. Sato", "it was deleted for a reason")
    assert done.version.name == "cells/1"
    with pytest.raises(ModelWithdrawn, match=r"cells/1 was withdrawn by B\. Sato"):
        resolve(two_versions, "cells", require_signoff=True)


def test_a_champion_of_an_older_lineside_can_be_withdrawn(two_versions: Registry) -> None:
    two_versions.client.set_registered_model_alias("cells", "champion", "1")
    Review(two_versions, "cells").withdraw(1, "B. Sato", "misses cracks")
    assert aliases(two_versions)[1] == ()
    assert SignoffLog(two_versions, "cells").read().standing.status == {1: "withdrawn"}


def test_rollback_returns_to_the_champion_before(two_versions: Registry) -> None:
    Review(two_versions, "cells").promote(1, "A. Weber", "first release")
    Review(two_versions, "cells").promote(2, "A. Weber", "fewer escapes")
    done = Review(two_versions, "cells").rollback("B. Sato", "misses cracks")
    assert done.summary == (
        "cells/1 is the champion again instead of cells/2; its bundle was verified"
    )
    assert aliases(two_versions) == {1: ("champion",), 2: ()}
    tags = two_versions.version("cells", 2).tags
    assert (tags["review.status"], tags["review.by"]) == ("withdrawn", "B. Sato")


def test_each_rollback_goes_one_further_back_and_the_last_fails(three_versions: Registry) -> None:
    for expected in (2, 1):
        assert Review(three_versions, "cells").rollback("B. Sato", "no").version.version == expected
    with pytest.raises(RegistryError, match="no previous champion"):
        Review(three_versions, "cells").rollback("B. Sato", "once more")
    assert resolve(three_versions, "cells").version.version == 1
    assert SignoffLog(three_versions, "cells").read().faults == ()


def test_a_withdrawn_version_may_be_promoted_again(two_versions: Registry) -> None:
    Review(two_versions, "cells").promote(1, "A. Weber", "first")
    Review(two_versions, "cells").promote(2, "A. Weber", "second")
    Review(two_versions, "cells").rollback("B. Sato", "too many rejects")
    done = Review(two_versions, "cells").promote(2, "B. Sato", "the camera was at fault")
    assert done.version.tags["review.status"] == "approved"
    assert Review(two_versions, "cells").rollback("B. Sato", "it was not").version.version == 1


def test_rollback_skips_a_champion_that_was_rejected_since(three_versions: Registry) -> None:
    Review(three_versions, "cells").reject(2, "B. Sato", "misses cracks, we know now")
    assert Review(three_versions, "cells").rollback("B. Sato", "too slow").version.version == 1


def test_rollback_asks_for_no_gate(two_versions: Registry) -> None:
    Review(two_versions, "cells").promote(1, "A. Weber", "first release")
    Review(two_versions, "cells").promote(2, "A. Weber", "fewer escapes")
    judge(two_versions, 1, "failed")
    assert Review(two_versions, "cells").rollback("B. Sato", "line stands").version.version == 1


def test_a_deleted_champion_is_reported_and_rolled_back(three_versions: Registry) -> None:
    three_versions.client.delete_model_version("cells", "3")
    with pytest.raises(NoChampion, match=r"cells/3, which was signed off, was deleted .*rollback"):
        resolve(three_versions, "cells")
    done = Review(three_versions, "cells").rollback("B. Sato", "somebody tidied up")
    assert done.summary.startswith("cells/2 is the champion again instead of cells/3")
    assert resolve(three_versions, "cells").version.version == 2


def test_rollback_goes_past_a_version_that_was_deleted(three_versions: Registry) -> None:
    three_versions.client.delete_model_version("cells", "2")
    assert Review(three_versions, "cells").rollback("B. Sato", "too slow").version.version == 1


def test_rollback_to_nothing_but_deleted_versions_names_them(two_versions: Registry) -> None:
    Review(two_versions, "cells").promote(1, "A. Weber", "first release")
    Review(two_versions, "cells").promote(2, "A. Weber", "fewer escapes")
    two_versions.client.delete_model_version("cells", "1")
    with pytest.raises(
        RegistryError, match=r"no previous champion .*cells/1 was deleted in MLflow"
    ):
        Review(two_versions, "cells").rollback("B. Sato", "too slow")


def test_rollback_needs_no_alias_previous(two_versions: Registry) -> None:
    Review(two_versions, "cells").promote(1, "A. Weber", "first release")
    Review(two_versions, "cells").promote(2, "A. Weber", "fewer escapes")
    two_versions.client.delete_registered_model_alias("cells", "previous")
    assert Review(two_versions, "cells").rollback("B. Sato", "misses cracks").version.version == 1


def test_a_champion_moved_by_hand_is_withdrawn_for_the_one_signed_off(
    two_versions: Registry,
) -> None:
    Review(two_versions, "cells").promote(1, "A. Weber", "first release")
    two_versions.client.set_registered_model_alias("cells", "champion", "2")
    done = Review(two_versions, "cells").rollback("B. Sato", "nobody signed it off")
    assert done.summary.startswith("cells/1 is the champion again instead of cells/2")


def test_a_registry_of_an_older_lineside_goes_on(two_versions: Registry) -> None:
    client = two_versions.client
    for alias, number in (("previous", "1"), ("champion", "2")):
        client.set_registered_model_alias("cells", alias, number)
        client.set_model_version_tag("cells", number, "signoff.reviewer", "A. Weber")
    done = Review(two_versions, "cells").rollback("B. Sato", "misses cracks")
    assert done.summary.startswith("cells/1 is the champion again instead of cells/2")
    (record,) = SignoffLog(two_versions, "cells").read().records
    assert (record.act, record.version, record.previous) == ("rollback", 1, 2)


def test_the_champion_of_an_older_lineside_can_be_signed_off_as_it_is(
    two_versions: Registry,
) -> None:
    two_versions.client.set_registered_model_alias("cells", "champion", "1")
    done = Review(two_versions, "cells").promote(1, "A. Weber", "it has run for a year")
    assert done.record is not None
    assert SignoffLog(two_versions, "cells").read().approval(done.version) == done.record


def test_a_reject_signs_off_no_champion(two_versions: Registry) -> None:
    judge(two_versions, 1, "failed")
    two_versions.client.set_registered_model_alias("cells", "champion", "1")
    Review(two_versions, "cells").reject(2, "B. Sato", "misses cracks")
    chain = SignoffLog(two_versions, "cells").read()
    assert chain.standing.champion is None
    with pytest.raises(SignoffError, match="nobody has signed it off"):
        chain.approval(resolve(two_versions, "cells").version)
    with pytest.raises(RegistryError, match="it failed the gate"):
        Review(two_versions, "cells").promote(1, "A. Weber", "it runs")
    done = Review(two_versions, "cells").promote(1, "A. Weber", "it runs", "trial")
    assert SignoffLog(two_versions, "cells").read().approval(done.version) == done.record


def test_an_older_registry_rolls_back_also_after_a_reject(
    two_versions: Registry, seal_bundle: Callable[..., Bundle], register: Register, tmp_path: Path
) -> None:
    register(two_versions, seal_bundle(tmp_path / "third", fail_from=0.6))
    for alias, number in (("previous", "1"), ("champion", "2")):
        two_versions.client.set_registered_model_alias("cells", alias, number)
    Review(two_versions, "cells").reject(3, "B. Sato", "misses cracks")
    done = Review(two_versions, "cells").rollback("B. Sato", "so does this")
    assert done.summary.startswith("cells/1 is the champion again instead of cells/2")


def test_no_rollback_to_a_version_that_failed_and_that_nobody_signed(
    two_versions: Registry,
) -> None:
    judge(two_versions, 1, "failed")
    two_versions.client.set_registered_model_alias("cells", "champion", "1")
    Review(two_versions, "cells").promote(2, "A. Weber", "better")
    with pytest.raises(
        RegistryError, match=r"cells/1 .*nobody has signed it off and its gate is fai"
    ):
        Review(two_versions, "cells").rollback("B. Sato", "misses cracks")
    assert resolve(two_versions, "cells").version.version == 2


@pytest.mark.parametrize(
    ("compared", "said"), [("cells/7", "cells/7"), ("", "no champion")], ids=["other", "none"]
)
def test_a_gate_against_another_champion_needs_an_override(
    two_versions: Registry, compared: str, said: str
) -> None:
    Review(two_versions, "cells").promote(1, "A. Weber", "first release")
    judge(two_versions, 2, against=compared)
    with pytest.raises(RegistryError, match=rf"compared with {said}, and the champion is cells/1"):
        Review(two_versions, "cells").promote(2, "A. Weber", "fewer escapes")
    done = Review(two_versions, "cells").promote(2, "A. Weber", "fewer escapes", "seen by eye")
    assert done.record is not None
    assert done.record.override_reason == "seen by eye"


def test_a_head_set_back_undoes_no_rollback(two_versions: Registry) -> None:
    for number in (1, 2):
        done = Review(two_versions, "cells").promote(number, "A. Weber", "release")
    assert done.record is not None
    Review(two_versions, "cells").rollback("B. Sato", "misses cracks")
    two_versions.client.set_registered_model_tag("cells", "signoff.head", done.record.name)
    two_versions.client.set_registered_model_alias("cells", "champion", "2")
    with pytest.raises(SignoffError, match=r"record 0003\.\w+ took effect, .* was set back"):
        SignoffLog(two_versions, "cells").read().approval(resolve(two_versions, "cells").version)


def test_a_head_that_was_deleted_shows_also_after_one_record(two_versions: Registry) -> None:
    Review(two_versions, "cells").promote(1, "A. Weber", "first release")
    two_versions.client.delete_registered_model_tag("cells", "signoff.head")
    with pytest.raises(SignoffError, match=r"record 0001\.\w+ took effect"):
        Review(two_versions, "cells").promote(2, "A. Weber", "fewer escapes")


def test_rejecting_the_version_before_takes_its_alias(three_versions: Registry) -> None:
    Review(three_versions, "cells").reject(2, "B. Sato", "misses cracks")
    assert aliases(three_versions) == {1: ("previous",), 2: (), 3: ("challenger", "champion")}


def test_a_rejection_cut_off_before_its_tags_is_finished(
    two_versions: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again() -> Outcome:
        return Review(two_versions, "cells").reject(1, "B. Sato", "misses cracks")

    cut_off(monkeypatch, "set_model_version_tag", again)
    assert again().version.tags["review.status"] == "rejected"
    assert len(SignoffLog(two_versions, "cells").read().records) == 1


def test_version_registered_by_others_cannot_be_promoted(registry: Registry) -> None:
    registry.client.create_registered_model("cells")
    registry.client.create_model_version("cells", source="file:///tmp/some-model")
    with pytest.raises(RegistryError, match=r"cells/1 was not registered by Lineside"):
        Review(registry, "cells").promote(1, "A. Weber", "looks fine")


class Crash(BaseException):
    """The process ends here."""


def cut_off(
    monkeypatch: pytest.MonkeyPatch, method: str, decide: Callable[[], object], *, of: str = ""
) -> None:
    """Have the process end at MLflow's `method`, called with the word `of`."""
    real = getattr(MlflowClient, method)

    def crash(self: MlflowClient, *given: object, **named: object) -> object:
        if of in given or not of:
            raise Crash
        return real(self, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, method, crash)
        with pytest.raises(Crash):
            decide()


@pytest.mark.parametrize(
    ("method", "of"),
    [("set_model_version_tag", ""), ("set_registered_model_alias", "champion")],
)
def test_a_promotion_cut_off_after_its_record_is_finished_by_repeating_it(
    two_versions: Registry, monkeypatch: pytest.MonkeyPatch, method: str, of: str
) -> None:
    Review(two_versions, "cells").promote(1, "A. Weber", "first release")

    def again() -> Outcome:
        return Review(two_versions, "cells").promote(2, "A. Weber", "fewer escapes")

    cut_off(monkeypatch, method, again, of=of)
    assert resolve(two_versions, "cells").version.version == 1
    done = again()
    assert "this finishes what A. Weber decided" in done.summary
    assert resolve(two_versions, "cells").version.version == 2
    assert resolve(two_versions, "cells").version.tags["review.status"] == "approved"
    assert len(SignoffLog(two_versions, "cells").read().records) == 2


def test_a_rollback_cut_off_after_its_record_is_finished_not_taken_further(
    three_versions: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:

    def again() -> Outcome:
        return Review(three_versions, "cells").rollback("B. Sato", "too slow")

    cut_off(monkeypatch, "set_registered_model_alias", again, of="champion")
    assert again().version.version == 2
    assert resolve(three_versions, "cells").version.version == 2
    assert len(SignoffLog(three_versions, "cells").read().records) == 4


@pytest.mark.parametrize("method", ["set_model_version_tag", "delete_registered_model_alias"])
def test_a_withdrawal_cut_off_after_its_record_is_finished_by_repeating_it(
    two_versions: Registry, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    Review(two_versions, "cells").promote(1, "A. Weber", "first release")

    def again() -> Outcome:
        return Review(two_versions, "cells").withdraw(1, "B. Sato", "misses cracks")

    cut_off(monkeypatch, method, again)
    with pytest.raises(ModelWithdrawn):  # by the sign-offs it was withdrawn at once
        resolve(two_versions, "cells", require_signoff=True)
    chain, versions = SignoffLog(two_versions, "cells").read(), two_versions.versions("cells")
    bearer = next(v for v in versions if "champion" in v.aliases)
    assert "repeat it: lineside models withdraw cells" in chain.alias_disagreement(bearer)
    assert "cells/1 is withdrawn; this finishes" in again().summary
    assert aliases(two_versions)[1] == ()
    assert len(SignoffLog(two_versions, "cells").read().records) == 2


def test_a_rejection_cut_off_after_its_record_is_finished(
    two_versions: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:

    def again() -> Outcome:
        return Review(two_versions, "cells").reject(2, "B. Sato", "misses cracks")

    cut_off(monkeypatch, "delete_registered_model_alias", again)
    assert again().version.aliases == ()
    assert len(SignoffLog(two_versions, "cells").read().records) == 1


def test_no_decision_is_added_to_sign_offs_that_do_not_verify(two_versions: Registry) -> None:
    done = Review(two_versions, "cells").promote(1, "A. Weber", "first release")
    assert done.record is not None
    two_versions.client.delete_registered_model_tag("cells", f"signoff.{done.record.name}")
    with pytest.raises(SignoffError, match=rf"record {done.record.name} is missing"):
        Review(two_versions, "cells").promote(2, "A. Weber", "fewer escapes")
