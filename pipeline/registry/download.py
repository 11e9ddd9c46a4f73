"""A bundle's files from where MLflow keeps them into a folder, every hash verified."""

from __future__ import annotations

import shutil
from pathlib import Path

from pipeline.contracts.bundle import open_bundle
from pipeline.errors import BundleError, RegistryError
from pipeline.files import move
from pipeline.registry.connection import translate_errors

BUNDLE_FOLDER = "extra_files"  # where MLflow keeps files that come with a model


def download(uri: str, source: str, into: Path, sha256: str) -> None:
    """Fill the empty folder `into` with the bundle of a logged model.

    Args:
        uri: the registry.
        source: where the logged model's artifacts lie.
        into: an empty folder.
        sha256: the bundle's identity, as the registry has it.

    Raises:
        BundleError: a file was altered, is missing or was added; it is named without `into`.
        RegistryError: there is no bundle, or it cannot be had.
    """
    with translate_errors(uri):
        from mlflow.artifacts import download_artifacts

        # MLflow makes the folder itself, one level down.
        made = download_artifacts(
            artifact_uri=f"{source.rstrip('/')}/{BUNDLE_FOLDER}",
            dst_path=str(into),
            tracking_uri=uri,
        )
    if not Path(made).is_dir():
        raise RegistryError(f"{source} holds no folder {BUNDLE_FOLDER}")
    for part in Path(made).iterdir():
        move(part, into / part.name)
    shutil.rmtree(into / BUNDLE_FOLDER)
    try:
        open_bundle(into, sha256)
    except BundleError as error:
        raise BundleError(str(error).replace(f"{into}/", "")) from error
