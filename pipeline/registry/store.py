"""The registry as a station reads it: versions of a recipe and the download of their bundles.

Needs only what a station installs.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.contracts.bundle import Bundle, open_bundle
from pipeline.errors import BundleError, RegistryError, choices, printable
from pipeline.files import whole_folder
from pipeline.registry.connection import connect, default_uri, login, redacted, translate_errors
from pipeline.registry.download import KEEP_FREE_BYTES, download
from pipeline.registry.versions import (
    SHA256_TAG,
    Version,
    find_version,
    from_mlflow,
    recipe_filter,
)

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient


def utc_now() -> datetime:
    """The time of day, with its zone."""
    return datetime.now(UTC)


class Registry:
    """An MLflow registry, reached when first asked.

    Attributes:
        uri: MLflow's address.
        now: the time of day, which decisions bear.
    """

    def __init__(self, uri: str | None = None, now: Callable[[], datetime] = utc_now) -> None:
        """Remember where it is; `None` means `default_uri` of the current folder."""
        self.uri = uri or default_uri(Path.cwd())
        self.now = now

    def __str__(self) -> str:
        return redacted(self.uri)

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's own client, connected when first asked for."""
        return connect(self.uri)

    @cached_property
    def login(self) -> str:
        """The user as which the registry's server knows this client, "" where it has no users."""
        return login(self.uri)

    def versions(self, recipe: str) -> list[Version]:
        """All versions of a recipe, oldest first; none if it was never registered."""
        client = self.client
        with translate_errors(self.uri):
            aliases = self._aliases(recipe)
            found: list[ModelVersion] = []
            token: str | None = None
            while True:
                page = client.search_model_versions(recipe_filter(recipe), page_token=token)
                found += page
                token = page.token
                if not token:
                    break
        versions = [from_mlflow(entry, aliases) for entry in found]
        return sorted(versions, key=lambda v: v.version)

    def recipes(self) -> list[str]:
        """The names of all registered models, sorted."""
        names: list[str] = []
        token: str | None = None
        with translate_errors(self.uri):
            while True:
                page = self.client.search_registered_models(page_token=token)
                names += [model.name for model in page]
                token = page.token
                if not token:
                    return sorted(names)

    def require(self, recipe: str) -> None:
        """Raise RegistryError, naming those that there are, unless the recipe is registered."""
        there = self.recipes()
        if recipe in there:
            return
        todo = choices(recipe, there) if there else "nothing is registered yet; run: make repro"
        raise RegistryError(f'recipe "{printable(recipe)}" is not registered at {self}; {todo}')

    def version(self, recipe: str, number: int | str) -> Version:
        """One version by number or alias; raises RegistryError where there is none."""
        versions = self.versions(recipe)
        if not versions:
            self.require(recipe)
        return find_version(versions, recipe, number, str(self))

    def pull(self, version: Version, into: Path, keep_free_bytes: int = KEEP_FREE_BYTES) -> Bundle:
        """Download a version's bundle into the folder `into` and verify every hash.

        It is written beside `into`, on the same disk, and is there whole or not at all, also after
        a power cut.

        Args:
            version: which.
            into: the folder.
            keep_free_bytes: nothing is downloaded that would leave less on its disk.

        Raises:
            BundleError: a file was altered, is missing or was added; `into` is left as it was.
            NoRoom: the disk has no room for it.
            RegistryError: the version holds no bundle, its files are out of reach of this machine,
                or the registry cannot be reached.
        """
        if not version.bundle_sha256:
            raise RegistryError(
                f"{version.name} at {self} was not registered by Lineside (no tag {SHA256_TAG}); "
                "choose another version: lineside models list " + version.recipe
            )
        with whole_folder(into) as aside:
            try:
                download(
                    *(self.uri, self.source(version), aside, version.bundle_sha256),
                    keep_free_bytes,
                )
            except BundleError as error:
                raise type(error)(f"{version.name} from {self}: {error}") from error
        return open_bundle(into, version.bundle_sha256)

    def source(self, version: Version) -> str:
        """Where the files of a version's logged model lie, an address or a path."""
        with translate_errors(self.uri):
            source = self.client.get_model_version_download_uri(
                version.recipe, str(version.version)
            )
            if source.startswith("models:/"):
                model = self.client.get_logged_model(source.removeprefix("models:/"))
                source = str(model.artifact_location)
            return source

    def _aliases(self, recipe: str) -> dict[str, str]:
        """Alias to version number; MLflow's search leaves them out of what it returns."""
        models = self.client.search_registered_models(recipe_filter(recipe))
        return {a: str(v) for model in models for a, v in model.aliases.items()}
