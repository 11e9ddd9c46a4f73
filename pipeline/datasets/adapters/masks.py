"""Images and masks of the same names: a part is defective where its mask is set.

The masks are in a folder of their own, or beside their images with another ending.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field, model_validator

from pipeline.contracts.sample import Sample
from pipeline.datasets.adapters._files import KNOWN, images, is_blank
from pipeline.datasets.annotations.recognition import Recognition, Tree
from pipeline.datasets.listings.listing import Listing, some
from pipeline.datasets.location import Location, Place, is_folder, opened
from pipeline.datasets.never_parts import PassedOver
from pipeline.errors import DataError, UnreadableImage
from pipeline.plugins import PluginConfig


class Config(PluginConfig):
    """Where images and masks are and what the classes are called."""

    type: Literal["masks"]
    root: Location = Field(description="The folder that holds images and masks.")
    images: Path = Field(Path("images"), description="The folder of images, in the root.")
    masks: Path = Field(
        Path("masks"),
        description="The folder of masks, in the root: images/a/1.jpg has masks/a/1.png.",
    )
    mask_ending: str | None = Field(
        None,
        pattern=r"^[\w.-]*\.\w+$",
        description="Where masks lie beside their images, anywhere below the root: what their "
        "names have in place of the image's ending, such as .png or _mask.png; `images` and "
        "`masks` are not used then. None: masks are in a folder of their own.",
    )
    label: Literal["mask", "folder"] = Field(
        "mask",
        description="Label of a part whose mask is not empty. mask: the one that `defective` "
        "gives; folder: the name of the first folder below the folder of images.",
    )
    good: str = Field("good", min_length=1, description="Label of parts whose mask is empty.")
    defective: str = Field(
        "defective", min_length=1, description="Label of parts whose mask is not empty."
    )
    missing_mask: Literal["error", "good"] = Field(
        "error", description="What an image without a mask counts as: an error, or a good part."
    )

    @model_validator(mode="after")
    def _apart(self) -> Config:
        if self.images in (self.masks, *self.masks.parents) or self.masks in self.images.parents:
            raise ValueError("images and masks must be two folders, neither in the other")
        return self


def root(config: Config) -> Place:
    """The configured folder."""
    return opened(config.root)


def read(config: Config) -> Listing:
    """All images below the folder of images, in name order.

    A part whose mask cannot be read counts as defective until the scan quarantines it.

    Raises:
        DataError: a folder is missing, there are no images, image and mask do not pair up, or a
            mask is set for an image in the folder of good parts.
    """
    image_folder, mask_folder = _folders(config)
    home, drawn = root(config) / str(image_folder), root(config) / str(mask_folder)
    passed_over = PassedOver()
    pictures = _by_name(config, "images", passed_over)
    if not pictures:
        raise DataError(f"{home} has no image; {KNOWN}")
    masks = _by_name(config, "masks", passed_over)
    samples = []
    for name, path in pictures.items():
        mask = masks.pop(name, None)
        samples.append(
            Sample(
                id=path.as_posix(),
                path=(image_folder / path).as_posix(),
                label=_label(config, path, mask),
                group=path.as_posix(),
                mask="" if mask is None else (mask_folder / mask).as_posix(),
            )
        )
    if masks:
        # One that is merely misnamed would let its defect pass as good.
        raise DataError(
            f"{len(masks)} of the masks in {drawn} belong to no image in "
            f"{home}, such as {min(masks.values())}; give mask and image one name, or remove it"
        )
    return Listing(samples, _notes(config, samples), passed_over)


def _folders(config: Config) -> tuple[PurePosixPath, PurePosixPath]:
    """Those of images and of masks, relative to the root."""
    if config.mask_ending is not None:
        return PurePosixPath(), PurePosixPath()
    return PurePosixPath(config.images.as_posix()), PurePosixPath(config.masks.as_posix())


def _notes(config: Config, samples: list[Sample]) -> list[str]:
    """A sentence on images whose folder is that of a defect, and whose mask is empty."""
    if config.label == "mask":
        return []
    empty = [s.path for s in samples if s.label == config.good != PurePosixPath(s.id).parts[0]]
    if not empty:
        return []
    return [
        f"{len(empty)} image(s) in a folder of another class have an empty mask and count as "
        f'"{config.good}": {some(empty)}'
    ]


def _by_name(
    config: Config, field: str, passed_over: PassedOver
) -> dict[PurePosixPath, PurePosixPath]:
    """Files in a folder, relative to it, by their path without its ending, in name order."""
    if config.mask_ending is not None:
        return _beside(config, field == "masks", config.mask_ending, passed_over)
    folder: Path = getattr(config, field)
    home = root(config) / folder.as_posix()
    if not is_folder(home):
        raise DataError(
            f"{home} is not a folder (source.root and source.{field} in ingest.yaml); expected "
            "images in one folder and masks of the same names in another"
        )
    found: dict[PurePosixPath, PurePosixPath] = {}
    for inner in images(root(config), folder.as_posix(), passed_over):
        path = inner.relative_to(folder.as_posix())
        _add(found, path.with_suffix(""), path, home)
    return found


def _beside(
    config: Config, masks: bool, ending: str, passed_over: PassedOver
) -> dict[PurePosixPath, PurePosixPath]:
    """The masks below the root, or all that are none, by their path without its ending."""
    home = root(config)
    if not is_folder(home):
        raise DataError(f"{home} is not a folder (source.root in ingest.yaml)")
    found: dict[PurePosixPath, PurePosixPath] = {}
    for path in images(home, "", passed_over):
        if path.name.endswith(ending) is masks:
            stem = path.name.removesuffix(ending) if masks else path.stem
            _add(found, path.with_name(stem or path.stem), path, home)
    return found


def _add(
    found: dict[PurePosixPath, PurePosixPath], name: PurePosixPath, path: PurePosixPath, home: Place
) -> None:
    former = found.setdefault(name, path)
    if former != path:
        raise DataError(
            f"{home} has {former} and {path}: image and mask are paired by their name "
            "without its ending; rename or remove one"
        )


def _label(config: Config, path: PurePosixPath, mask: PurePosixPath | None) -> str:
    image_folder, mask_folder = _folders(config)
    image = config.root / (image_folder / path).as_posix()
    if config.label == "folder" and len(path.parts) == 1:
        raise DataError(
            f"{image} is in no class folder; move it to one, such as {image.parent}/good, or set "
            "source.label: mask"
        )
    if mask is None:
        if config.missing_mask == "good":
            return config.good
        name = path.with_name(path.stem + (config.mask_ending or ".png"))
        expected = config.root / (mask_folder / name).as_posix()
        raise DataError(
            f"{image} has no mask such as {expected}; add it, or set source.missing_mask: good if "
            "only defective parts have one"
        )
    drawn = config.root / (mask_folder / mask).as_posix()
    try:
        if is_blank(drawn):
            return config.good
    except UnreadableImage:
        # The scan quarantines image and mask, and the others are used.
        return config.defective if config.label == "mask" else path.parts[0]
    if config.label == "mask":
        return config.defective
    if path.parts[0] == config.good:
        raise DataError(
            f"{image} is in the folder of {config.good} parts, but its mask "
            f"{drawn} is not empty; move the image or clear the mask"
        )
    return path.parts[0]


def recognise(tree: Tree) -> Recognition | None:
    """A folder `images` and one `masks`, each with images."""
    pictures, masks = tree.images_below("images"), tree.images_below("masks")
    if not pictures or not masks:
        return None
    config = Config(type="masks", root=tree.home)
    classes = {p.parts[1] for p in pictures if len(p.parts) > 2}
    if config.good in classes and len(classes) > 1:
        config = config.model_copy(update={"label": "folder"})
    return Recognition(
        config, f"{len(pictures)} images and {len(masks)} masks in folders so called"
    )
