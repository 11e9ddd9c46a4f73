"""Images with annotated objects in COCO's JSON: the gravest object decides the class of a part."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from pipeline.contracts.sample import Sample
from pipeline.datasets.adapters._files import inside, load, once
from pipeline.datasets.location import Location, Place, opened
from pipeline.errors import DataError, choices
from pipeline.plugins import PluginConfig


def _no_name_twice(names: tuple[str, ...]) -> tuple[str, ...]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"stands twice: {', '.join(twice)}")
    return names


class Config(PluginConfig):
    """Where the annotations are and which of them weighs most."""

    type: Literal["coco"]
    file: Location = Field(description="The JSON file with images, annotations and categories.")
    root: Location | None = Field(
        None, description="The folder that file_name is relative to. None: the folder of the file."
    )
    severity: Annotated[tuple[str, ...], AfterValidator(_no_name_twice)] = Field(
        min_length=1,
        description="Categories from harmless to grave; the label of an image is the gravest of "
        "its categories.",
    )
    good: str = Field("good", min_length=1, description="Label of images without annotations.")


class _Image(BaseModel):
    id: int | str
    file_name: str


class _Category(BaseModel):
    id: int | str
    name: str


class _CocoAnnotation(BaseModel):
    image_id: int | str
    category_id: int | str


class _CocoExport(BaseModel):
    images: list[_Image]
    annotations: list[_CocoAnnotation]
    categories: list[_Category]


def root(config: Config) -> Place:
    """The configured folder, or that of the annotations."""
    return opened(config.root or config.file.parent)


def read(config: Config) -> list[Sample]:
    """All images, in the file's order.

    Raises:
        DataError: the file is missing, of another form or without images, names an image twice or
            one that is not in the root, an annotation has no image or category, or a category in
            use is missing in `severity`.
    """
    export = load(config.file, _CocoExport, "COCO's JSON with images, annotations and categories")
    if not export.images:
        raise DataError(f"{config.file} lists no images; export it with them")
    ranks, home = _ranks(config, export), root(config)
    samples: list[Sample] = []
    seen: dict[str, str] = {}
    known: set[int | str] = set()
    for position, image in enumerate(export.images):
        where = f"{config.file}: images.{position}"
        if image.id in known:
            raise DataError(f"{where} has id {image.id}, as an image before it; ids must differ")
        known.add(image.id)
        path = inside(home, image.file_name, where)
        once(seen, path, where)
        label = config.severity[ranks[image.id]] if image.id in ranks else config.good
        samples.append(Sample(path, path, label, path))
    stray = sorted(str(i) for i in ranks.keys() - known)
    if stray:
        raise DataError(
            f"{config.file} has annotations of images that it does not list: image_id "
            f"{', '.join(stray[:5])}; export both together"
        )
    return samples


def _ranks(config: Config, export: _CocoExport) -> dict[int | str, int]:
    """For each image with annotations the highest position in `severity`."""
    names = {category.id: category.name for category in export.categories}
    ranks: dict[int | str, int] = {}
    for position, annotation in enumerate(export.annotations):
        where = f"{config.file}: annotations.{position}"
        name = names.get(annotation.category_id)
        if name is None:
            raise DataError(
                f"{where} has category_id {annotation.category_id}; "
                f"{choices(str(annotation.category_id), map(str, names))}"
            )
        if name not in config.severity:
            raise DataError(
                f'{where} is a "{name}", which source.severity in ingest.yaml does not rank; '
                f"{choices(name, config.severity)}, or add it in its place"
            )
        rank = config.severity.index(name)
        ranks[annotation.image_id] = max(rank, ranks.get(annotation.image_id, rank))
    return ranks
