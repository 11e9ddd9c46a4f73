"""Do defects survive the policy? Measured on masks, at full strength, one effect at a time.

From an augmented picture whose defect is gone a model learns that a bad part is good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.datasets.shards import Shards
from pipeline.training.augmentation.chain import Augmenter
from pipeline.training.augmentation.defects import Defect, defects_of, visibility
from pipeline.training.augmentation.policy import Policy

AT_MOST = 200  # defects are measured, evenly over all
SMALL_PERCENTILE = 5
TOLERATED = 0.05
ALL = "all effects"
# A defect is lost when it stands out less than half as far as before and by less than three
# deviations of its surround; what did not stand out by one before is not judged.
KEPT, CLEAR, FAINT = 0.5, 3.0, 1.0

REMEDY = {
    "rotation": "lower rotation.max_deg",
    "shift": "lower shift.max_fraction",
    "illumination": "lower illumination.strength",
    "dust": "lower dust.max_px or max_specks",
    "vibration": "lower vibration.max_px",
    "sensor_noise": "lower sensor_noise.deviation",
    "exposure": "lower exposure.brightness or contrast",
    "jpeg": "raise jpeg.min_quality",
    ALL: "weaken the strongest of them",
}


@dataclass(frozen=True)
class Survival:
    """What a policy does to the defects of the training images.

    Attributes:
        n_defects: drawn in masks of training images.
        small_px: diameter that the smallest 5 percent stay below.
        diameters_px: of all, ascending.
        judged: of those measured, the ones that stand out before anything happens.
        lost: for each effect at full strength, and for all together, how many of those judged no
            longer stand out.
    """

    n_defects: int
    small_px: float
    diameters_px: npt.NDArray[np.float64]
    judged: int
    lost: dict[str, int]


def measure(stored: Shards, rows: npt.NDArray[np.intp], policy: Policy) -> Survival | None:
    """Apply each effect of a policy to images with masks; None without any defect in a mask."""
    diameters: list[float] = []
    where: list[tuple[int, int]] = []
    for row in rows.tolist():
        mask = stored.mask(row)
        for number, defect in enumerate(defects_of(mask) if mask is not None else []):
            diameters.append(defect.diameter_px)
            where.append((row, number))
    if not where:
        return None
    picks = np.linspace(0, len(where) - 1, min(AT_MOST, len(where))).astype(int)
    changing = [name for name in policy.effects if name != "flip"]
    trials = {name: Augmenter.of(policy.only(name), full=True) for name in changing}
    trials[ALL] = Augmenter.of(policy.only(*policy.effects), full=True)
    lost = dict.fromkeys(trials, 0)
    judged = 0
    for row, number in (where[i] for i in picks):
        mask = stored.mask(row)
        assert mask is not None
        defect = defects_of(mask)[number]
        image, sample_id = stored[row], str(stored.index["sample_id"].iat[row])
        before = visibility(image, defect.area, mask > 0)
        if not before >= FAINT:
            continue
        judged += 1
        marked = _marked(defect, mask > 0)
        for name, augmenter in trials.items():
            made, moved = augmenter.with_mask(image, marked, seed=0, sample_id=sample_id, view=0)
            after = visibility(made, moved == 2, moved == 1)
            if not (moved == 2).any() or after < min(KEPT * before, CLEAR):
                lost[name] += 1
    ordered = np.sort(diameters)
    small = float(np.percentile(ordered, SMALL_PERCENTILE))
    return Survival(len(where), small, ordered, judged, lost)


def _marked(defect: Defect, every: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """2 where the defect is, 1 where others are."""
    found: npt.NDArray[np.uint8] = every.astype(np.uint8) + defect.area.astype(np.uint8)
    return found


def warnings(policy: Policy, survival: Survival | None) -> list[str]:
    """What a person should know before training with the policy: one warning a line."""
    if survival is None:
        return []
    found = []
    for name, effect in (("vibration", policy.vibration), ("dust", policy.dust)):
        if name not in policy.effects or effect is None:
            continue
        share = float((survival.diameters_px <= effect.max_px).mean())
        if share >= TOLERATED:
            what = "blurs away" if name == "vibration" else "hides, or looks like,"
            found.append(
                f"{name} of {effect.max_px} px {what} defects of that size, and {share:.0%} of "
                f"{survival.n_defects} are not larger (the smallest 5 %: {survival.small_px:.1f} "
                f"px across); {REMEDY[name]}"
            )
    for name, n in survival.lost.items():
        if survival.judged and n / survival.judged >= TOLERATED:
            found.append(
                f"{name} at full strength hides {n} of {survival.judged} defects measured "
                f"({n / survival.judged:.0%}); {REMEDY.get(name, 'weaken it')}"
            )
    return found


def statement(policy: Policy, survival: Survival | None) -> str:
    """What was checked, or what could not be."""
    if survival is not None:
        return (
            f"{survival.n_defects} defects in masks, smallest 5 % below {survival.small_px:.1f} px "
            f"across; {survival.judged} measured under each effect"
        )
    size = policy.smallest_detail_px
    if size == 1:
        return "no masks, and nothing in the policy that hides small defects by its size"
    sources: Sequence[str] = [n for n in ("vibration", "dust") if n in policy.effects]
    return (
        f"{' and '.join(sources)} up to {size} px may hide defects smaller than that; there are "
        "no masks to check it with"
    )
