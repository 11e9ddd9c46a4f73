"""Plans a study: its parts from the ledger, their pictures, and the references known already."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from pipeline.contracts.bundle import OperatingPoint
from pipeline.contracts.records import Record
from pipeline.contracts.study import Judgement, PartReference, Study, StudyPart
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.daemon.model.cache import cached_model
from pipeline.daemon.settings.line import Line
from pipeline.errors import DataError
from pipeline.ledger.database import connected
from pipeline.ledger.review.reviews import PartReview, standing_reviews
from pipeline.ledger.studies.folder import PARTS, StudyFolder, make, studies_of
from pipeline.ledger.studies.proposal import Proposal, is_near, kept_parts, propose


@dataclass(frozen=True)
class Wishes:
    """What a person asks of a new study.

    Attributes:
        name: of the study.
        appraisers: people.
        parts: how many.
        near: share of them near a decision limit, 0 to 1.
        trials: of each appraiser.
        seed: of the choice and the order.
    """

    name: str
    appraisers: tuple[str, ...]
    parts: int
    near: float
    trials: int
    seed: int


def plan(line: Line, wishes: Wishes, at: datetime) -> tuple[StudyFolder, Proposal]:
    """Choose parts for a study and make its folder.

    Raises:
        DataError: no frames are kept, no model ran here, too few parts, or the wishes are none.
        LedgerError: the ledger cannot be read.
        BundleError: the cached model was altered.
    """
    if line.keep is None:
        raise DataError(
            f"station {line.station} keeps no frames, and a study shows kept frames; set `keep` in "
            "the line file"
        )
    found = cached_model(line)
    if found is None:
        raise DataError(
            f"no model is in {line.model.cache} (model.cache in the line file), so the decision "
            "limits are not known; start the station once: lineside run"
        )
    bundle, version = found
    point, home = bundle.operating_point, line.keep.folder
    with connected(line.ledger, "studies", line.station) as db:
        candidates = kept_parts(
            db, line.station, version.name, lambda image: (home / image).is_file()
        )
        proposal = propose(
            candidates, point.pass_below, point.fail_from, wishes.parts, wishes.near, wishes.seed
        )
        _check_enough(proposal, wishes, version.name)
        # Their numbers do not reveal which are near a limit, good or bad.
        records = random.Random(wishes.seed).sample(proposal.parts, len(proposal.parts))
        known = _known_references(
            bundle.taxonomy, [standing_reviews(db, record.id) for record in records]
        )
    try:
        study = Study(
            name=wishes.name,
            station=line.station,
            recipe=line.recipe,
            created_at=at.astimezone(UTC).isoformat(timespec="seconds"),
            model_version=version.name,
            pass_below=point.pass_below,
            fail_from=point.fail_from,
            classes=bundle.taxonomy.names,
            good=bundle.taxonomy.good,
            seed=wishes.seed,
            appraisers=wishes.appraisers,
            trials=wishes.trials,
            asked=wishes.parts,
            asked_near=wishes.near,
            parts=tuple(_part(i, record, point) for i, record in enumerate(records, 1)),
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(f"this is not a plan for a study: {where} {first['msg']}") from error
    pictures = (
        (part.image, _frame(home / record.image))
        for part, record in zip(study.parts, records, strict=True)
    )
    return make(studies_of(line.ledger, line.station), study, pictures, known), proposal


def changed_classes(line: Line, study: Study) -> str:
    """How the station's classes differ from those of a study, "" where they do not.

    Raises:
        BundleError: the cached model was altered.
    """
    found = cached_model(line)
    if found is None:
        return ""
    taxonomy = found[0].taxonomy
    if set(taxonomy.names) == set(study.classes) and set(taxonomy.good) == set(study.good):
        return ""

    def words(names: Sequence[str], good: Sequence[str]) -> str:
        return f"{', '.join(names)} (good: {', '.join(good)})"

    return (
        f"the classes are now {words(taxonomy.names, taxonomy.good)}, and were "
        f"{words(study.classes, study.good)} when the study was planned"
    )


def _check_enough(proposal: Proposal, wishes: Wishes, version: str) -> None:
    n = len(proposal.parts)
    if n == wishes.parts:
        return
    less = f"ask for what there is: --parts {n}; or " if n > 1 else ""
    raise DataError(
        f"{n} parts have a kept frame and a verdict of {version}, {wishes.parts} were asked for; "
        f"{less}keep more frames (keep.pass_share in the line file) and let the station run on"
    )


def _known_references(
    taxonomy: Taxonomy, reviews: Sequence[Sequence[PartReview]]
) -> list[PartReference]:
    """Reference verdicts of parts that people have reviewed and agree on, by their last review."""
    known = []
    for number, of_part in enumerate(reviews, 1):
        classes = {review.part_class for review in of_part}
        if len({name in taxonomy.good for name in classes}) != 1 or not classes <= {
            *taxonomy.names
        }:
            continue
        last = of_part[-1]
        good = last.part_class in taxonomy.good
        known.append(
            PartReference(
                part=number,
                judgement=Judgement.GOOD if good else Judgement.BAD,
                part_class=last.part_class,
                by=last.reviewer,
                at=last.reviewed_at,
            )
        )
    return known


def _part(number: int, record: Record, point: OperatingPoint) -> StudyPart:
    score = record.defect_score or 0.0
    return StudyPart(
        number=number,
        record=record.id,
        serial=record.serial,
        image=f"{PARTS}/{number}{Path(record.image).suffix}",
        verdict=record.verdict,
        part_class=record.part_class,
        defect_score=score,
        near=is_near(score, point.pass_below, point.fail_from),
    )


def _frame(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}); the station's retention may have removed "
            "it meanwhile: try again"
        ) from error
