"""The champion of the day, and the comparison of a challenger with it on the same parts."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from pipeline.contracts.bundle import Bundle, open_bundle
from pipeline.contracts.evaluation import Comparison
from pipeline.datasets.manifest import Manifest
from pipeline.errors import BundleError, LinesideError, NoChampion, UnreadableImage
from pipeline.evaluation.predictions import PartPredictions, Watch, predict_parts
from pipeline.metrics.champion.comparison import Answers, compare, not_compared
from pipeline.metrics.champion.noninferiority import Margins
from pipeline.registry.connection import sqlite_file
from pipeline.registry.resolution import resolve
from pipeline.registry.store import Registry
from pipeline.registry.versions import Version


@dataclass(frozen=True)
class Champion:
    """A champion, or why there is none to compare with.

    Attributes:
        name: `<recipe>/<version>`, "" where there is none.
        bundle: verified; None where it cannot be had.
        missing: why, for people.
        out_of_reach: there is a champion, or may be one: it is not known whether it is worse.
    """

    name: str = ""
    bundle: Bundle | None = None
    missing: str = "nobody asked for a comparison"
    out_of_reach: bool = False


def find_champion(registry: Registry, recipe: str, cache: Path) -> Champion:
    """The champion's bundle, kept in the folder `cache` once it was pulled.

    Whatever keeps it from being had is a fact for the report, and for the gate.
    """
    file = sqlite_file(registry.uri)
    if file is not None and not file.exists():
        return Champion(missing="no champion is signed off yet")
    try:
        version = resolve(registry, recipe).version
    except NoChampion:
        return Champion(missing="no champion is signed off yet")
    except LinesideError as error:
        return Champion(missing=str(error), out_of_reach=True)
    folder = cache / f"{recipe}-{version.version}-{version.bundle_sha256[:12]}"
    try:
        return Champion(version.name, _kept(registry, version, folder), "")
    except LinesideError as error:
        return Champion(version.name, missing=str(error), out_of_reach=True)


def _kept(registry: Registry, version: Version, folder: Path) -> Bundle:
    if folder.is_dir():
        try:
            return open_bundle(folder, version.bundle_sha256)
        except BundleError:  # a copy of our own: the registry has the original
            shutil.rmtree(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return registry.pull(version, folder)


def compare_with_champion(
    champion: Champion,
    bundle: Bundle,
    data: Manifest,
    test: PartPredictions,
    margins: Margins,
    draws: int,
    watch: Watch,
) -> Comparison:
    """The champion on the same parts, through its own preparation and by its own limits.

    A champion that knows other classes cannot be compared: its verdicts answer another question.
    """
    if champion.bundle is None:
        missing = not_compared(champion.name, champion.missing)
        return missing.model_copy(update={"out_of_reach": champion.out_of_reach})
    if champion.bundle.sha256 == bundle.sha256:
        return not_compared(champion.name, "this bundle is the champion itself")
    theirs, ours = champion.bundle.taxonomy, bundle.taxonomy
    if (theirs.names, theirs.passing) != (ours.names, ours.passing):
        return not_compared(
            champion.name,
            f"it knows the classes {', '.join(theirs.names)}, this one {', '.join(ours.names)}"
            if theirs.names != ours.names
            else "its classes have other dispositions: another part is good",
        )
    try:
        former = predict_parts(champion.bundle, data, test.rows, watch)
    except (UnreadableImage, BundleError) as error:
        return not_compared(champion.name, f"it cannot judge these images: {error}")
    return compare(
        champion.name,
        _answers(former),
        _answers(test),
        test.bad,
        test.questions[0],
        test.groups(data),
        margins=margins.asked(something_passes=any(ours.passing)),
        draws=draws,
    )


def _answers(judged: PartPredictions) -> Answers:
    return Answers(judged.predicted == judged.labels, judged.verdicts, judged.questions[1])
