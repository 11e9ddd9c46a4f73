"""Augment: build the policy, prove that it keeps images trainable, and show what it does.

Synthetic bad parts are pasted here, once; views are made again in training, from the policy's seed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets.shards import Shards
from pipeline.errors import DataError
from pipeline.files import read_model, write_json
from pipeline.imaging import Pixels
from pipeline.imaging.codec import encode_png
from pipeline.imaging.sheet import contact_sheet
from pipeline.plugins import Strict
from pipeline.stages import Report, progress, run_stage
from pipeline.training.augmentation import Augmenter, Policy, oversampling, survival, synthetic
from pipeline.training.augmentation.oversampling import Oversample
from pipeline.training.augmentation.pasting import Paste

MOST_ROWS = 8  # of effects.png and, for each class, of paste.png
LARGEST_TILE_PX = 256
MOST_CLIPPED = 0.9  # of the pixels that could be; then nothing is left to learn from
TOLERATED_CLIPPED = 0.05  # of all pixels, on average; more deserves a warning
NEARLY = 16  # grey levels from black or white: such pixels lose nothing by becoming so
SHOWS = 4.0  # deviation of grey levels from which on a picture shows something
EDGE = 0.1  # of a side: what stands there, a small shift moves out of the picture


class Config(Strict):
    """`conf/<recipe>/augment.yaml`."""

    policy: Policy = Field(description="Random changes to training images.")
    oversample: Oversample = Field(
        default_factory=Oversample, description="More views of rare classes."
    )
    paste: Paste | None = Field(
        None,
        description="Synthetic bad parts: defects cut out and pasted into good parts; none: no "
        "synthetic parts.",
    )
    views_on_sheet: int = Field(
        5, ge=1, le=16, description="Augmented views of each example on its sheet."
    )
    examples_per_class: int = Field(
        3, ge=1, le=16, description="Examples of each class on its sheet."
    )


@dataclass(frozen=True)
class Clipping:
    """Pixels that the policy has made black or white, as shares of an image; means over views."""

    views: int
    blackened: float
    whitened: float


def run(config: Config, source: Path, out: Path) -> Report:
    """Write policy.json, oversample.json, synthetic/, report.json and the sheets into `out`.

    The sheets are classes/<class>.png (before and after), effects.png (each effect alone at full
    strength) and paste.png (donor, good part and what was made of them).

    Args:
        config: the policy.
        source: the recipe's data folder; `preprocess/`, and for pasting `ingest/`, are read.
        out: an empty folder.

    Raises:
        DataError: the policy changes shape or type, blackens or whitens whole images, has effects
            as large as the image, or pasting is asked for and there is nothing to paste.
    """
    stored = Shards(source / "preprocess")
    config.policy.check_size(*stored.spec.shape[:2])
    rows = stored.training
    write_json(out / "policy.json", Augmenter.of(config.policy).serialise())
    oversampling.write(out, config.oversample)
    augmenter = Augmenter.read(out / "policy.json")

    made: pd.DataFrame = _paste(config.paste, stored, rows, source, out)
    clipping = _class_sheets(config, stored, rows, augmenter, out)
    _effects_sheet(config.policy, stored, rows, out)
    survived = survival.measure(stored, rows, config.policy)

    warnings = survival.warnings(config.policy, survived)
    clipped = max(clipping.blackened, clipping.whitened)
    if clipped > TOLERATED_CLIPPED:
        what = "blackens" if clipping.blackened == clipped else "whitens"
        warnings.append(f"the policy {what} {clipped:.0%} of the pixels; weaken exposure")
    labels = [*stored.index["label"].iloc[rows], *made["label"]]
    factors = _factors(labels, config.oversample)
    counts = {str(k): int(v) for k, v in made["label"].value_counts().sort_index().items()}
    defects = None
    if survived is not None:
        defects = {
            "drawn": survived.n_defects,
            "smallest_5_percent_px": survived.small_px,
            "judged": survived.judged,
            "lost": survived.lost,
        }
    report = {
        "effects": config.policy.effects,
        "clipping": asdict(clipping),
        "defects": defects,
        "shown_times_as_often": factors,
        "synthetic": counts,
        "warnings": warnings,
    }
    write_json(out / "report.json", report)
    lines = [
        f"{', '.join(config.policy.effects) or 'no effect'}; {clipping.views} views checked",
        survival.statement(config.policy, survived),
    ]
    if factors:
        listing = ", ".join(f"{name} {factor:.1f}" for name, factor in factors.items())
        lines.append(f"oversampling, times as often: {listing}")
    if config.paste is not None:
        listing = ", ".join(f"{name} {n}" for name, n in counts.items())
        lines.append(f"pasted, of {config.paste.images_per_class} wanted a class: {listing}")
    return Report([*lines, *(f"warning: {w}" for w in warnings)])


def _class_sheets(
    config: Config, stored: Shards, rows: npt.NDArray[np.intp], augmenter: Augmenter, out: Path
) -> Clipping:
    """Write one sheet a class, checking every view on it."""
    (out / "classes").mkdir()
    labels, black, white = stored.index["label"].to_numpy(), [], []
    for name in sorted(set(labels[rows])):
        tiles: list[tuple[str, Pixels]] = []
        for row in rows[labels[rows] == name][: config.examples_per_class].tolist():
            image, sample_id = stored[row], str(stored.index["sample_id"].iat[row])
            tiles.append((f"{sample_id} before", image))
            for view in range(config.views_on_sheet):
                made = augmenter(image, seed=0, sample_id=sample_id, view=view)
                _refuse_blank(image, made, sample_id)
                black.append(_clipped(image, made, 0))
                white.append(_clipped(image, made, 255))
                tiles.append((f"view {view + 1}", made))
        sheet = out / "classes" / f"{name.replace('/', '_')}.png"
        _write_sheet(sheet, tiles, config.views_on_sheet + 1)
    return Clipping(len(black), *(max(0.0, float(np.mean(v))) for v in (black, white)))


def _refuse_blank(image: Pixels, made: Pixels, sample_id: str) -> None:
    """Raise DataError where light has taken what a picture showed.

    Of a black and white picture nothing is lost where its greys, such as softened edges, become
    black or white, nor of one that is nearly empty where a speck at its edge moves out.
    """
    if made.std() < 1 and _inner(image).std() >= SHOWS:
        raise DataError(
            f"the policy turns {sample_id} into one flat grey; weaken exposure in augment.yaml"
        )
    for value, what in ((0, "black"), (255, "white")):
        clipped, could_be = _clipped(image, made, value), 1 - _nearly(image, value)
        if clipped > max(MOST_CLIPPED * could_be, TOLERATED_CLIPPED):
            raise DataError(
                f"the policy turns {_share(made, value):.0%} of {sample_id} {what}; weaken "
                "exposure in augment.yaml"
            )


def _inner(image: Pixels) -> Pixels:
    height, width = (round(side * EDGE) for side in image.shape[:2])
    return image[height : image.shape[0] - height, width : image.shape[1] - width]


def _clipped(image: Pixels, made: Pixels, value: int) -> float:
    """How much more of a picture is black (0) or white (255) than nearly was before, a share."""
    return _share(made, value) - _nearly(image, value)


def _share(image: Pixels, value: int) -> float:
    return float((image == value).mean())


def _nearly(image: Pixels, value: int) -> float:
    near = image <= NEARLY if value == 0 else image >= 255 - NEARLY
    return float(near.mean())


def _effects_sheet(policy: Policy, stored: Shards, rows: npt.NDArray[np.intp], out: Path) -> None:
    """Write effects.png: an example a class; before, each effect alone, all of them."""
    columns = {name: Augmenter.of(policy.only(name), full=True) for name in policy.effects}
    columns[survival.ALL] = Augmenter.of(policy.only(*policy.effects), full=True)
    labels = stored.index["label"].to_numpy()
    tiles: list[tuple[str, Pixels]] = []
    for name in sorted(set(labels[rows]))[:MOST_ROWS]:
        row = int(rows[labels[rows] == name][0])
        image, sample_id = stored[row], str(stored.index["sample_id"].iat[row])
        tiles.append((f"{name} before", image))
        for effect, augmenter in columns.items():
            tiles.append((effect, augmenter(image, seed=0, sample_id=sample_id, view=0)))
    _write_sheet(out / "effects.png", tiles, 1 + len(columns))


def _paste(
    config: Paste | None, stored: Shards, rows: npt.NDArray[np.intp], source: Path, out: Path
) -> pd.DataFrame:
    """Write synthetic/ (empty without pasting) and paste.png; returns the index."""
    pasted: Iterable[synthetic.Pasted] = ()
    if config is not None:
        taxonomy = read_model(source / "ingest" / "taxonomy.json", Taxonomy)
        wanted = config.images_per_class * taxonomy.passing.count(False)
        made = synthetic.make(stored, rows, taxonomy, config)
        pasted = progress(made, "pasting defects", total=wanted)
    index = synthetic.write(out / synthetic.FOLDER, stored, pasted)
    if config is None:
        return index
    if not len(index):
        raise DataError(
            "paste in augment.yaml made no image: no defect fits anywhere on a good part so that "
            "it can be seen; raise max_shift, or remove paste"
        )
    there = Shards(out / synthetic.FOLDER)
    tiles: list[tuple[str, Pixels]] = []
    for i in np.flatnonzero(index.groupby("label").cumcount() < MOST_ROWS).tolist():
        entry = index.iloc[i]
        tiles += [
            (f"from {entry['donor']}", stored[entry["donor_position"]]),
            (f"into {entry['background']}", stored[entry["background_position"]]),
            (str(entry["sample_id"]), there[i]),
        ]
    _write_sheet(out / "paste.png", tiles, 6)
    return index


def _factors(labels: Sequence[str], settings: Oversample) -> dict[str, float]:
    """How many times as often each class that gets more is shown."""
    extra = oversampling.extra_views(labels, 0, settings)
    names = np.asarray(labels)
    means = {name: 1 + float(extra[names == name].mean()) for name in sorted(set(labels))}
    return {name: mean for name, mean in means.items() if mean > 1}


def _write_sheet(path: Path, tiles: Sequence[tuple[str, Pixels]], columns: int) -> None:
    """At the size of the pictures where that is not too large: noise and blur are small."""
    side = min(LARGEST_TILE_PX, max(144, *tiles[0][1].shape[:2]))
    path.write_bytes(encode_png(contact_sheet(tiles, columns=columns, tile_px=side)))


def main(argv: Sequence[str] = sys.argv) -> None:
    """`python -m pipeline.stages.augment RECIPE`."""
    run_stage("augment", Config, run, argv)


if __name__ == "__main__":
    main()
