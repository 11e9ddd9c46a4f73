"""A student learns what its teacher says, of the same parts and the same classes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.contracts.bundle import Bundle
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets import manifest
from pipeline.datasets.manifest import Manifest
from pipeline.errors import RegistryError, TrainingError
from pipeline.inference.inspector import Inspector
from pipeline.registry.push import push
from pipeline.registry.store import Registry
from pipeline.stages import ingest
from pipeline.training import probe
from pipeline.training.distillation import (
    Distill,
    Floats,
    doubts,
    mix,
    open_teacher,
    teacher_targets,
)
from tests.conftest import SealBundle
from tests.stages.conftest import TAXONOMY, copy_cells, folder_of

HEAD = probe.Head(components=2, landmarks=40, l2=0.01, max_epochs=8)


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Forty real cells, ingested."""
    home = tmp_path_factory.mktemp("cells")
    copy_cells(home / "images", per_class=20)
    (home / "ingest").mkdir()
    ingest.run(folder_of(home / "images"), TAXONOMY, home / "ingest")
    return manifest.read(home / "ingest")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory, seal_bundle: SealBundle) -> Bundle:
    """Judges by mean brightness, whatever the label says."""
    return seal_bundle(tmp_path_factory.mktemp("teacher") / "bundle")


def ids(cells: Manifest) -> list[str]:
    return list(cells.table["sample_id"])


def test_a_student_follows_its_teacher_and_not_labels_that_say_the_opposite(
    cells: Manifest, teacher: Bundle
) -> None:
    taught = teacher_targets(teacher, cells, ids(cells), TAXONOMY, temperature=1)
    verdicts = taught.argmax(axis=1)
    assert 0 < verdicts.sum() < len(verdicts)
    wrong = np.eye(2, dtype=np.float32)[1 - verdicts]
    brightness = np.array([cells.pixels(row).mean() for row in range(len(verdicts))])
    seen = np.stack([brightness, brightness**2], axis=1).astype(np.float32)

    def agreement(weight: float) -> float:
        head, _ = probe.fit(seen, mix(wrong, taught, weight), HEAD, seed=0)
        return float((probe.predict(head, seen).argmax(axis=1) == verdicts).mean())

    assert agreement(weight=1.0) > 0.9
    assert agreement(weight=0.01) < 0.1


def test_the_teacher_sees_the_original_image_as_the_line_would(
    cells: Manifest, teacher: Bundle
) -> None:
    """In the order asked for, whichever thread answers first."""
    asked = ids(cells)[::-3]
    taught = teacher_targets(teacher, cells, asked, TAXONOMY, temperature=1)
    rows = [ids(cells).index(name) for name in asked]
    inspector = Inspector(teacher)
    expected = np.stack([inspector.inspect(cells.pixels(row)).probabilities for row in rows])
    np.testing.assert_allclose(taught, expected, atol=1e-6)


def test_temperature_divides_the_logits(cells: Manifest, teacher: Bundle) -> None:
    plain, soft = (teacher_targets(teacher, cells, ids(cells), TAXONOMY, t) for t in (1, 4))
    gaps = [np.log(t[:, 1]) - np.log(t[:, 0]) for t in (plain, soft)]
    np.testing.assert_allclose(gaps[0], 4 * gaps[1], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(soft.sum(axis=1), 1, atol=1e-6)


def test_classes_in_another_order_are_the_same_classes(cells: Manifest, teacher: Bundle) -> None:
    turned = Taxonomy(classes=TAXONOMY.classes[::-1])
    as_is, other = (
        teacher_targets(teacher, cells, ids(cells)[:4], t, 2) for t in (TAXONOMY, turned)
    )
    np.testing.assert_array_equal(as_is, other[:, ::-1])


def test_a_teacher_of_other_classes_is_refused(cells: Manifest, teacher: Bundle) -> None:
    classes = [{"name": n, "disposition": d} for n, d in (("good", "pass"), ("dent", "scrap"))]
    other = Taxonomy.model_validate({"classes": classes})
    with pytest.raises(TrainingError, match=r"knows good, defective; this recipe has good, dent"):
        teacher_targets(teacher, cells, ids(cells), other, 2)


def test_tiles_are_refused_because_a_teacher_judges_parts(cells: Manifest, teacher: Bundle) -> None:
    with pytest.raises(TrainingError, match=r"cuts tiles \(spec\.tiles in preprocess\.yaml\)"):
        teacher_targets(teacher, cells, [ids(cells)[0]] * 2, TAXONOMY, 2)


def test_progress_is_told_one_part_at_a_time(cells: Manifest, teacher: Bundle) -> None:
    told = []

    def shown(answers: Iterable[Floats]) -> Iterator[Floats]:
        for answer in answers:
            told.append(answer)
            yield answer

    taught = teacher_targets(teacher, cells, ids(cells)[:5], TAXONOMY, 1, shown)
    np.testing.assert_allclose(np.stack(told), taught, atol=1e-6)


def test_a_teacher_of_another_recipe_may_have_seen_the_test_parts(teacher: Bundle) -> None:
    assert doubts(teacher, "brightness") == []
    (said,) = doubts(teacher, "cells")
    assert "trained for recipe brightness" in said


def test_a_registered_teacher_is_downloaded_once(
    teacher: Bundle, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(registry, "large", teacher, metrics={}, params={}, tags={}, description="")
    by_alias = Distill(teacher="models:/large@challenger")
    by_number = Distill(teacher="models:/large/1")
    assert open_teacher(by_alias, registry, tmp_path / "kept").sha256 == teacher.sha256
    monkeypatch.setattr(registry, "pull", None)
    assert open_teacher(by_number, registry, tmp_path / "kept").sha256 == teacher.sha256
    with pytest.raises(RegistryError, match=r"large has no version 7 .*versions there: 1"):
        open_teacher(Distill(teacher="models:/large/7"), registry, tmp_path / "kept")


def test_a_folder_without_a_seal_is_no_teacher(registry: Registry, tmp_path: Path) -> None:
    given = Distill(teacher=str(tmp_path))
    with pytest.raises(TrainingError, match=r"distill\.teacher in train\.yaml: .*not a sealed"):
        open_teacher(given, registry, tmp_path)


def test_an_address_that_names_no_version_is_refused_at_once() -> None:
    with pytest.raises(ValidationError, match="write models:/RECIPE/VERSION or models:/RECIPE@"):
        Distill(teacher="models:/large")
