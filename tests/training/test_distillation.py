"""A student learns what its teacher says, of the same parts and the same classes."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel, ValidationError

from pipeline.contracts.bundle import Bundle, Range, open_bundle, seal
from pipeline.contracts.spec import Contour, PreprocessSpec, Roi
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets.manifest import Manifest
from pipeline.datasets.manifest_reader import read_manifest
from pipeline.errors import RegistryError, TrainingError
from pipeline.files import write_model
from pipeline.inference.inspector import Inspector
from pipeline.registry.evidence import Evidence
from pipeline.registry.push import push
from pipeline.registry.store import Registry
from pipeline.registry.versions import Version
from pipeline.stages import ingest
from pipeline.training.distillation import (
    Distill,
    Floats,
    Teacher,
    doubts,
    mix,
    open_teacher,
    refusals,
    teacher_targets,
)
from pipeline.training.heads import fitting, logistic
from pipeline.training.heads.settings import HeadSettings
from tests.conftest import SealBundle
from tests.stages.conftest import TAXONOMY, copy_cells, folder_of

HEAD = HeadSettings(components=2, landmarks=40, l2=0.01, max_epochs=8)


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Forty real cells, ingested."""
    home = tmp_path_factory.mktemp("cells")
    copy_cells(home / "images", per_class=20)
    (home / "ingest").mkdir()
    ingest.run(folder_of(home / "images"), TAXONOMY, home / "ingest")
    return read_manifest(home / "ingest")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory, seal_bundle: SealBundle) -> Bundle:
    """Judges by mean brightness, whatever the label says."""
    return seal_bundle(tmp_path_factory.mktemp("teacher") / "bundle")


def ids(cells: Manifest) -> list[str]:
    return list(cells.table["sample_id"])


def sealed_with(teacher: Bundle, folder: Path, part: str, content: BaseModel) -> Bundle:
    """A copy of the teacher with another part."""
    shutil.copytree(teacher.folder, folder)
    write_model(folder / part, content)
    return open_bundle(folder, seal(folder))


@pytest.mark.slow
def test_a_student_follows_its_teacher_and_not_labels_of_the_opposite(
    cells: Manifest, teacher: Bundle
) -> None:
    taught = teacher_targets(teacher, cells, ids(cells), TAXONOMY, temperature=1)
    verdicts = taught.argmax(axis=1)
    assert 0 < verdicts.sum() < len(verdicts)
    wrong = np.eye(2, dtype=np.float32)[1 - verdicts]
    brightness = np.array([cells.pixels(row).mean() for row in range(len(verdicts))])
    seen = np.stack([brightness, brightness**2], axis=1).astype(np.float32)

    def agreement(weight: float) -> float:
        head, _ = fitting.fit(seen, mix(wrong, taught, weight), HEAD, seed=0)
        return float((logistic.predict(head, seen).argmax(axis=1) == verdicts).mean())

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


def test_progress_is_reported_one_part_at_a_time(cells: Manifest, teacher: Bundle) -> None:
    told = []

    def shown(answers: Iterable[Floats]) -> Iterator[Floats]:
        for answer in answers:
            told.append(answer)
            yield answer

    taught = teacher_targets(teacher, cells, ids(cells)[:5], TAXONOMY, 1, shown)
    np.testing.assert_allclose(np.stack(told), taught, atol=1e-6)


def assert_labels_stand_alone_where(refused: list[bool], taught: Floats) -> None:
    assert 0 < sum(refused) < len(refused)
    labels = np.eye(2, dtype=np.float32)[np.arange(len(taught)) % 2]
    learned = mix(labels, taught, weight=1.0)
    np.testing.assert_array_equal(learned[refused], labels[refused])
    answered = ~np.array(refused)
    np.testing.assert_array_equal(learned[answered], taught[answered])
    np.testing.assert_allclose(learned.sum(axis=1), 1, atol=1e-6)
    (said,) = refusals(taught)
    assert f"refuses the pictures of {sum(refused)} of {len(taught)} training parts" in said


def test_pictures_unlike_all_that_the_teacher_has_seen_keep_their_label(
    cells: Manifest, teacher: Bundle, tmp_path: Path
) -> None:
    rows = range(len(cells.table))
    inspector = Inspector(teacher)
    seen = [inspector.inspect(cells.pixels(row)).quality.brightness for row in rows]
    low, median, high = np.quantile(seen, [0.4, 0.5, 0.6])
    middling = Range(low=low, median=median, high=high)
    reference = teacher.reference.model_copy(update={"brightness": middling})
    picky = sealed_with(teacher, tmp_path / "picky", "reference.json", reference)
    taught = teacher_targets(picky, cells, ids(cells), TAXONOMY, 2)
    inspector = Inspector(picky)
    reasons = [inspector.inspect(cells.pixels(row)).decision.reason for row in rows]
    assert_labels_stand_alone_where([r.startswith("too ") for r in reasons], taught)


def test_pictures_in_which_the_teacher_finds_no_part_keep_their_label(
    cells: Manifest, teacher: Bundle, tmp_path: Path
) -> None:
    def sealed(name: str, min_confidence: float) -> Bundle:
        where = Contour(by="contour", part="brighter", min_confidence=min_confidence)
        spec = teacher.preprocess.model_copy(update={"locate": where})
        return sealed_with(teacher, tmp_path / name, "preprocess.json", spec)

    inspector = Inspector(sealed("any", 0.0))
    sure = [inspector.inspect(cells.pixels(row)).confidence for row in range(len(cells.table))]
    taught = teacher_targets(sealed("sure", float(np.median(sure))), cells, ids(cells), TAXONOMY, 2)
    assert_labels_stand_alone_where([bool(s < np.median(sure)) for s in sure], taught)


def test_a_teacher_that_refuses_every_picture_is_not_a_teacher(
    cells: Manifest, teacher: Bundle, tmp_path: Path
) -> None:
    wide = PreprocessSpec(
        colour="grey", width_px=16, height_px=16, roi=Roi(x_px=0, y_px=0, width_px=999, height_px=9)
    )
    other = sealed_with(teacher, tmp_path / "wide", "preprocess.json", wide)
    with pytest.raises(TrainingError, match=r"refuses the pictures of all 4 training parts"):
        teacher_targets(other, cells, ids(cells)[:4], TAXONOMY, 2)


def test_where_every_part_was_answered_there_is_nothing_to_report() -> None:
    assert refusals(np.full((3, 2), 0.5, np.float32)) == []


def test_a_teacher_of_the_same_split_is_beyond_doubt(teacher: Bundle) -> None:
    assert doubts(Teacher(teacher, "same"), "cells", "same") == []


@pytest.mark.parametrize(
    ("known", "recipe", "why"),
    [
        ("", "brightness", "the teacher's split cannot be checked"),
        ("other", "brightness", "the teacher was trained on another split or other images"),
        ("other", "cells", "the teacher was trained for recipe brightness"),
        ("", "cells", "the teacher was trained for recipe brightness"),
    ],
)
def test_any_other_teacher_may_have_seen_the_test_parts(
    known: str, recipe: str, why: str, teacher: Bundle
) -> None:
    (said,) = doubts(Teacher(teacher, known), recipe, "same")
    assert said == (
        f"{why}: where it has seen validation or test parts, the student's figures flatter"
    )


def register(registry: Registry, teacher: Bundle) -> None:
    tags = {"manifest_sha256": "of its samples"}
    push(registry, "large", teacher, Evidence(tags=tags))


def test_a_registered_teacher_is_downloaded_once(
    teacher: Bundle, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(registry, teacher)
    by_alias = Distill(teacher="models:/large@challenger")
    by_number = Distill(teacher="models:/large/1")
    first = open_teacher(by_alias, registry, tmp_path / "kept")
    assert (first.bundle.sha256, first.manifest_sha256) == (teacher.sha256, "of its samples")
    monkeypatch.setattr(registry, "pull", None)
    assert open_teacher(by_number, registry, tmp_path / "kept") == first
    with pytest.raises(RegistryError, match=r"large has no version 7 .*versions there: 1"):
        open_teacher(Distill(teacher="models:/large/7"), registry, tmp_path / "kept")


def test_a_kept_teacher_that_was_damaged_is_downloaded_again(
    teacher: Bundle, registry: Registry, tmp_path: Path
) -> None:
    register(registry, teacher)
    asked = Distill(teacher="models:/large/1")
    kept = open_teacher(asked, registry, tmp_path / "kept").bundle
    kept.model.write_bytes(b"torn")
    assert open_teacher(asked, registry, tmp_path / "kept").bundle == kept
    assert kept.model.read_bytes() == teacher.model.read_bytes()
    assert list((tmp_path / "kept").iterdir()) == [kept.folder]


def test_a_teacher_that_two_processes_fetch_at_once_is_whole_for_both(
    teacher: Bundle, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(registry, teacher)
    asked = Distill(teacher="models:/large/1")
    pull, quicker = registry.pull, list[Teacher]()

    def slowly(version: Version, into: Path) -> Bundle:
        pulled = pull(version, into)
        monkeypatch.setattr(registry, "pull", pull)
        quicker.append(open_teacher(asked, registry, tmp_path / "kept"))
        return pulled

    monkeypatch.setattr(registry, "pull", slowly)
    assert open_teacher(asked, registry, tmp_path / "kept") == quicker[0]
    assert list((tmp_path / "kept").iterdir()) == [quicker[0].bundle.folder]


def test_a_teachers_folder_starts_at_the_project_wherever_an_experiment_runs(
    teacher: Bundle, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(teacher.folder.parent))
    opened = open_teacher(Distill(teacher=teacher.folder.name), registry, tmp_path)
    assert opened == Teacher(teacher)


def test_a_folder_without_a_seal_is_not_a_teacher(registry: Registry, tmp_path: Path) -> None:
    given = Distill(teacher=str(tmp_path))
    with pytest.raises(TrainingError, match=r"distill\.teacher in train\.yaml: .*not a sealed"):
        open_teacher(given, registry, tmp_path)


def test_an_address_that_names_no_version_is_refused_at_once() -> None:
    with pytest.raises(ValidationError, match="write models:/RECIPE/VERSION or models:/RECIPE@"):
        Distill(teacher="models:/large")
