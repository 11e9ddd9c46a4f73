"""The model bundle: one folder that holds all a station needs to judge a part, and its seal.

    model.onnx             uint8 N,H,W,C in; `logits` N,K and `embedding` N,D out; where it pools
                           the T tiles of P parts `logits` P,K and `contributions` P,T
    preprocess.json        PreprocessSpec
    reference-<name>.png   the pictures that the spec names (golden sample, flat field), if any
    taxonomy.json          Taxonomy
    operating_point.json   OperatingPoint      (added by evaluate, which seals the bundle)
    reference.json         Reference           (what training images look like)
    provenance.json        Provenance          (recipe, architecture, weights, method)
    golden.json            GoldenFrame         (added by evaluate, where a test part is fit for it)
    golden-frame.<ending>  its picture, as the camera wrote it
    familiarity.json       NoveltyLimit         (how unlike training a picture may be; not in every
    familiarity.npy        float16 M,D          bundle), with the embeddings of M training images
    frame_sizes.json       FrameSizes          (of training pictures; not in every bundle)
    manifest.json          SHA-256 and size of every other file

The bundle's identity (`sha256`) is the SHA-256 of its manifest, which holds no time and no path:
the same training gives the same identity. There is no pickle in it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from pipeline.contracts.frame_sizes import FrameSizes
from pipeline.contracts.records import Verdict
from pipeline.contracts.spec import PreprocessSpec, reference_file
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.errors import BundleError, DamagedBundle
from pipeline.files import read_model, sha256, write_json
from pipeline.plugins import Strict

MANIFEST = "manifest.json"
MODEL = "model.onnx"
GOLDEN = "golden.json"
FORMAT = 1
FRAME_SIZES = "frame_sizes.json"
NOVELTY, EXAMPLES = "familiarity.json", "familiarity.npy"

M = TypeVar("M", bound=BaseModel)


class OperatingPoint(Strict):
    """Limits on the defect score: below `pass_below` PASS, from `fail_from` FAIL, else REVIEW."""

    pass_below: float = Field(
        ge=0, le=1.1, description="Defect scores below this limit pass; 0: no score passes."
    )
    fail_from: float = Field(
        ge=0, le=1.1, description="Defect scores from this limit on fail; above 1: no score fails."
    )

    @model_validator(mode="after")
    def _in_order(self) -> OperatingPoint:
        if self.fail_from < self.pass_below:
            raise ValueError(f"fail_from {self.fail_from} is below pass_below {self.pass_below}")
        return self


class Range(Strict):
    """Smallest, median and largest value among the training images."""

    low: float
    median: float
    high: float


class Reference(Strict):
    """What prepared training images look like, to distinguish a faulty camera from a bad part."""

    n_images: int
    brightness: Range = Field(description="Mean grey value, 0 to 255.")
    contrast: Range = Field(description="Standard deviation of grey values.")
    sharpness: Range = Field(description="Variance of the Laplacian.")


class Provenance(Strict):
    """Where the network comes from."""

    recipe: str
    architecture: str
    method: str
    weights: str = Field(description="Weights that training started from.")
    n_train: int
    teacher: str = Field("", description="Identity of the bundle it was distilled from, if any.")
    pooling: str = Field(
        "", description="How the graph pools the tiles of a part; empty: the worst tile decides."
    )

    @model_serializer(mode="wrap")
    def _without_empty(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Stations older than a field refuse its key, as they must where tiles are pooled."""
        written: dict[str, Any] = write(self)
        for name in ("teacher", "pooling"):
            if not written[name]:
                written.pop(name)
        return written


class GoldenFrame(Strict):
    """One real part and the prediction of evaluation on it: a station must reproduce it.

    Another build of ONNX Runtime or OpenCV, or another CPU, may round otherwise; this shows it
    before the first part is judged.
    """

    file: str = Field(
        pattern=r"^golden-frame\.[a-z]{3,4}$", description="File name of the picture in the bundle."
    )
    sample_id: str = Field(description="Sample id of the test part that the picture shows.")
    probabilities: dict[str, float] = Field(
        description="Probability of each class by name, to 4 decimals; with tiles, of the worst "
        "tile."
    )
    verdict: Literal[Verdict.PASS, Verdict.FAIL, Verdict.REVIEW]
    tolerance: float = Field(
        1e-3, gt=0, le=1, description="Largest difference of a probability that a station may show."
    )


class NoveltyLimit(Strict):
    """How far from all examples in `familiarity.npy` an embedding may lie."""

    limit: float | None = Field(
        None,
        ge=0,
        description="Largest distance at which a picture may pass; none: no limit was chosen.",
    )
    median: float | None = Field(
        None,
        ge=0,
        description="Median distance of the parts that the limit was chosen on; drift is "
        "measured against it.",
    )
    n_chosen_on: int = Field(0, ge=0, description="Number of parts that the limit was chosen on.")


class FileSeal(Strict):
    """One file of the bundle."""

    sha256: str
    bytes: int


class BundleManifest(Strict):
    """The seal of a bundle."""

    format: Literal[1]
    files: dict[str, FileSeal]


@dataclass(frozen=True)
class Bundle:
    """A bundle whose every hash has been verified."""

    folder: Path
    sha256: str
    preprocess: PreprocessSpec
    taxonomy: Taxonomy
    operating_point: OperatingPoint
    reference: Reference
    provenance: Provenance
    golden: GoldenFrame | None = None
    novelty: NoveltyLimit | None = None
    frame_sizes: FrameSizes | None = None

    @property
    def model(self) -> Path:
        """Path of the ONNX graph."""
        return self.folder / MODEL


PARTS: dict[str, type[BaseModel]] = {
    "preprocess.json": PreprocessSpec,
    "taxonomy.json": Taxonomy,
    "operating_point.json": OperatingPoint,
    "reference.json": Reference,
    "provenance.json": Provenance,
}


def read_part(folder: Path, name: str, model: type[M]) -> M:
    """Read one JSON part of a bundle.

    Raises:
        BundleError: the file is missing or does not fit its model.
    """
    path = folder / name
    try:
        return read_model(path, model)
    except FileNotFoundError:
        raise BundleError(f"{path} is missing; the bundle is incomplete") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise BundleError(
            f"{path} does not fit this version of Lineside: {key} {first['msg']}"
        ) from None


def seal(folder: Path) -> str:
    """Write the manifest over all other files and return the bundle's identity."""
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    files = {
        name: {"sha256": sha256(folder / name), "bytes": (folder / name).stat().st_size}
        for name in names
        if name != MANIFEST
    }
    write_json(folder / MANIFEST, {"format": FORMAT, "files": files})
    return sha256(folder / MANIFEST)


def open_bundle(folder: Path, expected_sha256: str | None = None) -> Bundle:
    """Verify every hash and read all parts.

    Args:
        folder: where the bundle lies.
        expected_sha256: identity that the registry promised, if there is one.

    Raises:
        DamagedBundle: naming the file that is missing, added or altered.
        BundleError: it is as it was sealed, and does not fit this version of Lineside.
    """
    manifest_path = folder / MANIFEST
    if not manifest_path.is_file():
        raise DamagedBundle(f"{folder} holds no {MANIFEST}: it is not a sealed bundle")
    content = manifest_path.read_bytes()
    identity = hashlib.sha256(content).hexdigest()
    if expected_sha256 is not None and identity != expected_sha256:
        raise DamagedBundle(
            f"{manifest_path} was altered: its SHA-256 is {identity[:12]}…, "
            f"the registry has {expected_sha256[:12]}…; the bundle is refused"
        )
    try:
        manifest = BundleManifest.model_validate(json.loads(content))
    except (ValidationError, ValueError):
        raise BundleError(
            f"{manifest_path} is not a manifest of format {FORMAT}; the bundle is refused"
        ) from None
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    for name in sorted(present - set(manifest.files) - {MANIFEST}):
        raise DamagedBundle(f"{folder / name} is not in the manifest; the bundle is refused")
    for name, sealed in manifest.files.items():
        path = folder / name
        if name not in present:
            raise DamagedBundle(f"{path} is missing; the bundle is refused")
        if sha256(path) != sealed.sha256:
            raise DamagedBundle(
                f"{path} was altered after the bundle was sealed (SHA-256 differs from "
                f"{MANIFEST}); the bundle is refused"
            )
    for name in (MODEL, *PARTS):
        if name not in manifest.files:
            raise BundleError(f"{folder} has no {name}; the bundle is incomplete")
    preprocess = read_part(folder, "preprocess.json", PreprocessSpec)
    for name in preprocess.references:
        if reference_file(name) not in manifest.files:
            raise BundleError(
                f"{folder} has no {reference_file(name)}, which preprocess.json names; the "
                "bundle is incomplete"
            )
    taxonomy = read_part(folder, "taxonomy.json", Taxonomy)
    return Bundle(
        folder=folder,
        sha256=identity,
        preprocess=preprocess,
        taxonomy=taxonomy,
        operating_point=read_part(folder, "operating_point.json", OperatingPoint),
        reference=read_part(folder, "reference.json", Reference),
        provenance=read_part(folder, "provenance.json", Provenance),
        golden=_golden(folder, manifest, taxonomy),
        novelty=_novelty_limit(folder, manifest),
        frame_sizes=_frame_sizes(folder, manifest),
    )


def _golden(folder: Path, manifest: BundleManifest, taxonomy: Taxonomy) -> GoldenFrame | None:
    """The golden frame; None in bundles sealed before there were any, or without a fit part."""
    if GOLDEN not in manifest.files:
        return None
    golden = read_part(folder, GOLDEN, GoldenFrame)
    if golden.file not in manifest.files:
        raise BundleError(f"{folder} has no {golden.file}, which {GOLDEN} names; it is incomplete")
    if tuple(golden.probabilities) != taxonomy.names:
        raise BundleError(
            f"{folder / GOLDEN} speaks of the classes {', '.join(golden.probabilities)}, "
            f"taxonomy.json of {', '.join(taxonomy.names)}; the bundle is refused"
        )
    return golden


def _novelty_limit(folder: Path, manifest: BundleManifest) -> NoveltyLimit | None:
    """Bundles that are older than this part go on working without."""
    parts = {NOVELTY, EXAMPLES} & set(manifest.files)
    if not parts:
        return None
    if lacking := {NOVELTY, EXAMPLES} - parts:
        raise BundleError(f"{folder} has no {min(lacking)}; the bundle is incomplete")
    return read_part(folder, NOVELTY, NoveltyLimit)


def _frame_sizes(folder: Path, manifest: BundleManifest) -> FrameSizes | None:
    """Bundles that are older than this part go on working without."""
    if FRAME_SIZES not in manifest.files:
        return None
    return read_part(folder, FRAME_SIZES, FrameSizes)
