"""A bundle judged anew and cut off anywhere: never better than the truth, and done by repeating."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from mlflow.tracking import MlflowClient

from pipeline.contracts.bundle import Bundle
from pipeline.errors import RegistryError
from pipeline.registry.decisions.review import Review
from pipeline.registry.push import push
from pipeline.registry.store import Registry
from tests.judgements import judged

WRITES = (
    *("update_model_version", "set_model_version_tag", "delete_model_version_tag"),
    *("log_artifact", "log_metric", "set_tag", "delete_tag", "update_run"),
)


CutOff = Callable[[Callable[[], object], int], bool]


class Crash(BaseException):
    """The process ends here."""


@pytest.fixture
def cut_off(monkeypatch: pytest.MonkeyPatch) -> CutOff:
    """Have the process end before write `n` to MLflow, from 0; False where it wrote less."""

    def call(do: Callable[[], object], n: int) -> bool:
        done = 0

        def counted(method: str) -> Callable[..., object]:
            real = getattr(MlflowClient, method)

            def one(self: MlflowClient, *given: object, **named: object) -> object:
                nonlocal done
                if done == n:
                    raise Crash
                done += 1
                return real(self, *given, **named)

            return one

        with monkeypatch.context() as patch:
            for method in WRITES:
                patch.setattr(MlflowClient, method, counted(method))
            try:
                do()
            except Crash:
                return True
        return False

    return call


@pytest.mark.parametrize(
    ("before", "after"),
    [("passed", "failed"), ("failed", "passed"), ("attention", "not proven")],
)
def test_wherever_it_is_cut_off_the_verdict_is_never_better_than_the_truth(
    registry: Registry,
    sealed_bundle: Bundle,
    cut_off: CutOff,
    before: str,
    after: str,
) -> None:
    old, new = (
        judged(sealed_bundle, gate, metrics={"auroc": figure}, auroc=str(figure))
        for gate, figure in ((before, 0.8), (after, 0.9))
    )
    push(registry, "cells", sealed_bundle, old)
    writes = 0
    while cut_off(lambda: push(registry, "cells", sealed_bundle, new), writes):
        # Before its first write it was not begun; from then on "passed" is only what is true.
        version = registry.version("cells", 1)
        bad = after if before != "failed" else before
        assert version.gate == (bad if writes or before == "failed" else before)
        if writes:
            with pytest.raises(RegistryError, match=r"cannot be (signed off|promoted)"):
                Review(registry, "cells").promote(1, "A. Weber", "looks fine")
        push(registry, "cells", sealed_bundle, old)
        assert registry.version("cells", 1).gate == before
        writes += 1
    assert writes >= 6
    run = registry.client.get_run(registry.version("cells", 1).run_id)
    for tags in (registry.version("cells", 1).tags, run.data.tags):
        assert (tags["gate"], tags["auroc"]) == (after, "0.9")
    assert run.data.metrics == {"auroc": 0.9}


@pytest.mark.parametrize("cut", [1, 3, 5])
def test_what_was_cut_off_is_done_by_registering_again(
    registry: Registry,
    sealed_bundle: Bundle,
    cut_off: CutOff,
    cut: int,
) -> None:
    evidence = judged(sealed_bundle, auroc="0.9")
    push(registry, "cells", sealed_bundle, judged(sealed_bundle, "failed", auroc="0.8"))
    assert cut_off(lambda: push(registry, "cells", sealed_bundle, evidence), cut)
    push(registry, "cells", sealed_bundle, evidence)
    assert registry.version("cells", 1).tags["auroc"] == "0.9"
    assert Review(registry, "cells").promote(1, "A. Weber", "better").record


def test_the_same_judgement_writes_nothing(
    registry: Registry,
    sealed_bundle: Bundle,
    cut_off: CutOff,
) -> None:
    evidence = judged(sealed_bundle)
    push(registry, "cells", sealed_bundle, evidence)
    assert not cut_off(lambda: push(registry, "cells", sealed_bundle, evidence), 0)
