"""What is signed is what was evaluated: files and tags that were changed are refused by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.errors import BundleError, RegistryError, RegistryUnreachable
from pipeline.registry.decisions.review import Review
from pipeline.registry.decisions.signoffs import SignoffLog
from pipeline.registry.push import Registration, push
from pipeline.registry.resolution import resolve
from pipeline.registry.store import Registry
from tests.judgements import bundle_file, judge, judged, run_file

Register = Callable[[Registry, Bundle], Registration]
OVERRIDES = pytest.mark.parametrize("override", ["", "the plant manager wants it"])
EVALUATION_FILE = "evaluate/evaluation.json"


@pytest.fixture
def both_signed(two_versions: Registry) -> Registry:
    """Version 2 is champion, 1 was before."""
    for number in (1, 2):
        Review(two_versions, "cells").promote(number, "A. Weber", "release")
    return two_versions


@OVERRIDES
def test_an_altered_bundle_is_never_signed_and_its_file_is_named(
    two_versions: Registry, override: str
) -> None:
    bundle_file(two_versions, 1, "taxonomy.json").write_bytes(b"{}")
    with pytest.raises(BundleError, match=r"cells/1 .*taxonomy\.json was altered.*nor with an ove"):
        Review(two_versions, "cells").promote(1, "A. Weber", "first release", override)
    assert SignoffLog(two_versions, "cells").read().records == ()


@OVERRIDES
def test_a_tag_gate_that_differs_from_the_evaluation_is_refused_by_name(
    two_versions: Registry, override: str
) -> None:
    judge(two_versions, 1, "failed")
    two_versions.client.set_model_version_tag("cells", "1", "gate", "passed")
    said = r'its tag gate is "passed" and evaluate/evaluation\.json of its run has "failed"'
    with pytest.raises(RegistryError, match=said):
        Review(two_versions, "cells").promote(1, "A. Weber", "first release", override)
    assert SignoffLog(two_versions, "cells").read().records == ()


def test_a_tag_gate_that_was_deleted_is_refused(two_versions: Registry) -> None:
    two_versions.client.delete_model_version_tag("cells", "1", "gate")
    with pytest.raises(RegistryError, match=r'tag gate is "" .*`dvc repro -s register@cells`'):
        Review(two_versions, "cells").promote(1, "A. Weber", "first release", "trial")


def test_a_comparison_that_was_only_written_into_the_tag_is_refused(
    two_versions: Registry,
) -> None:
    Review(two_versions, "cells").promote(2, "A. Weber", "first release", "seen by eye")
    two_versions.client.set_model_version_tag("cells", "1", "compared_with", "cells/2")
    with pytest.raises(RegistryError, match=r'its tag compared_with is "cells/2" .* run has ""'):
        Review(two_versions, "cells").promote(1, "A. Weber", "better")


def test_a_bundle_swapped_together_with_its_tag_is_not_the_one_evaluated(
    two_versions: Registry,
) -> None:
    shutil.copytree(
        bundle_file(two_versions, 2, ""), bundle_file(two_versions, 1, ""), dirs_exist_ok=True
    )
    other = two_versions.version("cells", 2).bundle_sha256
    two_versions.client.set_model_version_tag("cells", "1", "bundle_sha256", other)
    with pytest.raises(RegistryError, match=rf'its tag bundle_sha256 is "{other}"'):
        Review(two_versions, "cells").promote(1, "A. Weber", "first release", "trial")


def test_an_evaluation_that_cannot_be_read_is_refused_by_name(two_versions: Registry) -> None:
    run_file(two_versions, 1, EVALUATION_FILE).write_text("[]")
    with pytest.raises(RegistryError, match=r"evaluation\.json of its run cannot be read"):
        Review(two_versions, "cells").promote(1, "A. Weber", "first release", "trial")


def test_without_the_evaluation_a_passed_gate_counts_as_unknown_and_needs_an_override(
    two_versions: Registry,
) -> None:
    run_file(two_versions, 1, EVALUATION_FILE).unlink()
    with pytest.raises(RegistryError, match=r"holds no evaluate/evaluation\.json.*--override TEXT"):
        Review(two_versions, "cells").promote(1, "A. Weber", "first release")
    done = Review(two_versions, "cells").promote(
        1, "A. Weber", "first release", "the disk was full"
    )
    assert done.record is not None
    assert (done.record.gate, done.record.override_reason) == ("unknown", "the disk was full")


def test_a_run_that_is_gone_needs_an_override_too(two_versions: Registry) -> None:
    run_id = two_versions.version("cells", 1).run_id
    two_versions.client.delete_run(run_id)
    shutil.rmtree(run_file(two_versions, 1, ""))
    with pytest.raises(RegistryError, match=r"holds no evaluate/evaluation\.json"):
        Review(two_versions, "cells").promote(1, "A. Weber", "first release")


def test_what_another_lineside_writes_into_an_evaluation_does_not_matter(
    two_versions: Registry,
) -> None:
    file = run_file(two_versions, 1, EVALUATION_FILE)
    file.write_text(json.dumps(json.loads(file.read_bytes()) | {"of_the_future": 1}))
    assert Review(two_versions, "cells").promote(1, "A. Weber", "first release").record


def test_files_that_cannot_be_had_are_not_taken_for_missing_ones(
    two_versions: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise RegistryUnreachable("the registry stopped answering")

    monkeypatch.setattr(type(two_versions.client), "list_artifacts", away)
    with pytest.raises(RegistryUnreachable):
        Review(two_versions, "cells").promote(1, "A. Weber", "first release", "trial")


def test_registering_again_writes_a_lost_or_changed_evaluation_again(
    registry: Registry, sealed_bundle: Bundle
) -> None:
    evidence = judged(sealed_bundle)
    for change in (Path.unlink, lambda file: file.write_text("{}")):
        push(registry, "cells", sealed_bundle, evidence)
        change(run_file(registry, 1, EVALUATION_FILE))
    push(registry, "cells", sealed_bundle, evidence)
    assert Review(registry, "cells").promote(1, "A. Weber", "first release").record


def test_an_altered_version_that_was_deleted_is_registered_again_with_whole_files(
    registry: Registry, sealed_bundle: Bundle, register: Register
) -> None:
    register(registry, sealed_bundle)
    bundle_file(registry, 1, "taxonomy.json").write_bytes(b"{}")
    registry.client.delete_model_version("cells", "1")
    done = register(registry, sealed_bundle)
    assert Review(registry, "cells").promote(done.version, "A. Weber", "first release").record


def test_a_version_whose_tag_was_changed_since_it_was_signed_is_not_signed_again(
    both_signed: Registry,
) -> None:
    run_file(both_signed, 1, EVALUATION_FILE).unlink()
    shutil.copytree(
        bundle_file(both_signed, 2, ""), bundle_file(both_signed, 1, ""), dirs_exist_ok=True
    )
    other = both_signed.version("cells", 2).bundle_sha256
    both_signed.client.set_model_version_tag("cells", "1", "bundle_sha256", other)
    said = r"cells/1 was signed off as bundle \w+ \(record 0001\.\w+\), and its tag bundle_sha256"
    with pytest.raises(BundleError, match=said):
        Review(both_signed, "cells").promote(1, "A. Weber", "back", "trial")
    with pytest.raises(BundleError, match=said):
        Review(both_signed, "cells").rollback("A. Weber", "back")


def test_rollback_passes_over_a_champion_whose_bundle_was_altered_and_reports_it(
    both_signed: Registry, seal_bundle: Callable[..., Bundle], register: Register, tmp_path: Path
) -> None:
    register(both_signed, seal_bundle(tmp_path / "third", fail_from=0.6))
    judge(both_signed, 3, against="cells/2")
    Review(both_signed, "cells").promote(3, "A. Weber", "release")
    bundle_file(both_signed, 2, "model.onnx").write_bytes(b"another network")
    done = Review(both_signed, "cells").rollback("B. Sato", "misses cracks")
    assert done.version.version == 1
    assert done.summary.startswith(
        "cells/1 is the champion again instead of cells/3; its bundle was"
    )
    assert "passed over, find out who did this: cells/2" in done.summary
    assert "model.onnx was altered" in done.summary
    assert SignoffLog(both_signed, "cells").read().standing.former == ()


def test_rollback_to_nothing_but_altered_bundles_is_refused_with_what_helps(
    both_signed: Registry,
) -> None:
    bundle_file(both_signed, 1, "model.onnx").write_bytes(b"another network")
    with pytest.raises(
        BundleError, match=r"cells/1 .*model\.onnx was altered.*from a backup, or pr"
    ):
        Review(both_signed, "cells").rollback("B. Sato", "misses cracks")
    assert resolve(both_signed, "cells").version.version == 2


def test_rollback_restores_what_cannot_be_downloaded_now_and_reports_that_it_is_unverified(
    both_signed: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise RegistryUnreachable("the store of files stopped answering")

    monkeypatch.setattr("pipeline.registry.store.download", away)
    done = Review(both_signed, "cells").rollback("B. Sato", "misses cracks")
    assert done.version.version == 1
    assert "its bundle could not be verified (the store of files stopped answering)" in done.summary


def test_what_is_not_proven_blocks_until_the_signer_accepts_it_by_name(
    two_versions: Registry,
) -> None:
    judge(two_versions, 1, "not proven")
    review = Review(two_versions, "cells")
    said = (
        r"cells/1 cannot be promoted: .*\(escapes: 60 more bad test parts would prove it\).*"
        r"--accept escapes"
    )
    for override in ("", "the plant manager wants it"):
        with pytest.raises(RegistryError, match=said):
            review.promote(1, "A. Weber", "first release", override)
    done = review.promote(1, "A. Weber", "first release", accepted=["escapes"])
    assert done.record is not None
    assert (done.record.gate, done.record.accepted) == ("not proven", ("escapes",))
    assert done.version.tags["review.reason"] == ("first release (accepted as not proven: escapes)")
    assert SignoffLog(two_versions, "cells").read().faults == ()


def test_nothing_is_accepted_that_is_proven_or_unknown(two_versions: Registry) -> None:
    said = r"--accept golden: cells/1 has nothing of that name to accept; no check of it is not pro"
    with pytest.raises(RegistryError, match=said):
        Review(two_versions, "cells").promote(1, "A. Weber", "release", accepted=["golden"])
    judge(two_versions, 1, "not proven")
    with pytest.raises(RegistryError, match=r"not proven: escapes"):
        Review(two_versions, "cells").promote(1, "A. Weber", "release", accepted=["golden"])


def test_a_gate_that_only_asks_for_attention_is_signed_like_one_that_passed(
    two_versions: Registry,
) -> None:
    judge(two_versions, 1, "attention")
    done = Review(two_versions, "cells").promote(1, "A. Weber", "first release")
    assert done.record is not None
    assert (done.record.gate, done.record.override_reason) == ("attention", "")


def test_an_evaluation_of_an_older_lineside_is_still_compared(two_versions: Registry) -> None:
    version = two_versions.version("cells", 1)
    older = {
        "gate": {"passed": True, "checks": [{"name": "golden", "passed": True, "said": "none"}]},
        "comparison": {"champion": ""},
        "lineage": {"bundle": version.bundle_sha256},
    }
    two_versions.client.log_text(version.run_id, json.dumps(older), EVALUATION_FILE)
    done = Review(two_versions, "cells").promote(1, "A. Weber", "first release")
    assert done.record is not None
    assert done.record.gate == "passed"
