"""Versions of a recipe: list, download, promote, roll back. Needs only what a station installs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.contracts.bundle import Bundle, open_bundle
from pipeline.errors import BundleError, NoChampion, RegistryError
from pipeline.files import whole_folder
from pipeline.registry.connection import connect, default_uri, shown, spoken

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

CHAMPION = "champion"
CHALLENGER = "challenger"
PREVIOUS = "previous"
SHA256_TAG = "bundle_sha256"
BUNDLE_FOLDER = "extra_files"  # where MLflow keeps files that come with a model


@dataclass(frozen=True)
class Version:
    """One registered version of a recipe.

    Attributes:
        recipe, version: what it is called.
        bundle_sha256: identity of the bundle, "" if it was not registered by Lineside.
        run_id: the MLflow run that logged it.
        aliases: champion, challenger, previous: those that point to it.
        tags: all tags, with the sign-off under `signoff.`.
        created_at: when it was registered, ISO 8601 in UTC, "" where unknown.
    """

    recipe: str
    version: int
    bundle_sha256: str
    run_id: str
    aliases: tuple[str, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    created_at: str = ""

    @property
    def name(self) -> str:
        """`<recipe>/<version>`, as records carry it."""
        return f"{self.recipe}/{self.version}"


def utc_now() -> datetime:
    """The time of day, with its zone."""
    return datetime.now(UTC)


class Registry:
    """An MLflow registry, reached when first asked."""

    def __init__(self, uri: str | None = None, now: Callable[[], datetime] = utc_now) -> None:
        """Remember where it is; `None` means `default_uri` of the current folder."""
        self.uri = uri or default_uri(Path.cwd())
        self._now = now

    def __str__(self) -> str:
        return shown(self.uri)

    @cached_property
    def _client(self) -> MlflowClient:
        return connect(self.uri)

    def versions(self, recipe: str) -> list[Version]:
        """All versions of a recipe, oldest first; none if it was never registered."""
        client = self._client
        with spoken(self.uri):
            aliases = self._aliases(recipe)
            found: list[ModelVersion] = []
            token: str | None = None
            while True:
                page = client.search_model_versions(f"name = '{recipe}'", page_token=token)
                found += page
                token = page.token
                if not token:
                    break
        versions = [_version(entry, aliases) for entry in found]
        return sorted(versions, key=lambda v: v.version)

    def version(self, recipe: str, number: int) -> Version:
        """One version; raises RegistryError where there is none of this number."""
        return self._one_of(self.versions(recipe), recipe, number)

    def _one_of(self, versions: list[Version], recipe: str, number: int) -> Version:
        for version in versions:
            if version.version == number:
                return version
        there = f"versions there: {_numbers(versions)}" if versions else "none is registered"
        raise RegistryError(f"{recipe} has no version {number} at {self}; {there}")

    def champion(self, recipe: str, alias: str = CHAMPION) -> Version:
        """The version that a person has signed off (or that another alias points to).

        Raises:
            NoChampion: nobody has; the message holds the command that does it.
        """
        versions = self.versions(recipe)
        for version in versions:
            if alias in version.aliases:
                return version
        if not versions:
            todo = f"register one first: make repro (conf/recipes.yaml must list {recipe})"
        elif alias == CHAMPION:
            todo = "sign one off: " + promote_command(recipe, versions[-1].version)
        else:
            todo = f"versions there: {_numbers(versions)}"
        raise NoChampion(f'recipe {recipe} has no version with alias "{alias}" at {self}; {todo}')

    def pull(self, version: Version, into: Path) -> Bundle:
        """Download a version's bundle into the folder `into` and verify every hash.

        Raises:
            BundleError: a file was altered, is missing or was added; `into` is left as it was.
            RegistryError: the version holds no bundle, or the registry cannot be reached.
        """
        if not version.bundle_sha256:
            raise RegistryError(
                f"{version.name} at {self} was not registered by Lineside (no tag {SHA256_TAG}); "
                "choose another version: lineside models list " + version.recipe
            )
        with whole_folder(into) as aside:
            # MLflow makes the folder itself, one level down.
            downloaded = self._download(version, aside)
            for part in downloaded.iterdir():
                part.rename(aside / part.name)
            shutil.rmtree(aside / BUNDLE_FOLDER)
            try:
                open_bundle(aside, version.bundle_sha256)
            except BundleError as error:
                told = str(error).replace(f"{aside}/", "")
                raise BundleError(f"{version.name} from {self}: {told}") from error
        return open_bundle(into, version.bundle_sha256)

    def _download(self, version: Version, into: Path) -> Path:
        client = self._client
        with spoken(self.uri):
            from mlflow.artifacts import download_artifacts

            source = client.get_model_version_download_uri(version.recipe, str(version.version))
            if source.startswith("models:/"):
                model = client.get_logged_model(source.removeprefix("models:/"))
                source = model.artifact_location
            folder = download_artifacts(
                artifact_uri=f"{source.rstrip('/')}/{BUNDLE_FOLDER}",
                dst_path=str(into),
                tracking_uri=self.uri,
            )
        if not Path(folder).is_dir():
            raise RegistryError(f"{version.name}: {source} holds no folder {BUNDLE_FOLDER}")
        return Path(folder)

    def promote(self, recipe: str, version: int, reviewer: str, reason: str) -> tuple[Version, str]:
        """Make a version the champion and note who signed it off, why and when.

        Returns:
            The champion and a sentence that says what changed. The former champion is kept under
            the alias `previous`; promoting the champion itself changes nothing.

        Raises:
            RegistryError: an unknown version, or no reviewer or reason given.
        """
        reviewer, reason = _signed(reviewer, reason)
        versions = self.versions(recipe)
        chosen = self._one_of(versions, recipe, version)
        if not chosen.bundle_sha256:
            raise RegistryError(
                f"{chosen.name} was not registered by Lineside (it has no tag {SHA256_TAG}); no "
                "station would run it, so it cannot become the champion"
            )
        former = next((v for v in versions if CHAMPION in v.aliases), None)
        if former == chosen:
            return chosen, f"{chosen.name} is the champion already; nothing changed"
        self._forget(chosen, "withdrawn")
        # The sign-off comes first: there is never a champion without one.
        self._tag(chosen, "signoff", reviewer, reason)
        if former is not None:
            self._point(recipe, PREVIOUS, former.version)
        self._point(recipe, CHAMPION, version)
        kept = f"; {former.name} is kept as previous" if former else ""
        return self.champion(recipe), f"{chosen.name} is now the champion{kept}"

    def rollback(self, recipe: str, reviewer: str, reason: str) -> tuple[Version, str]:
        """Return to the champion before; the withdrawn version notes who, why and when.

        There is one step back, not a toggle: doing it twice never restores the withdrawn version.

        Raises:
            RegistryError: there is no previous champion, or no reviewer or reason given.
        """
        reviewer, reason = _signed(reviewer, reason)
        versions = self.versions(recipe)
        former = next((v for v in versions if PREVIOUS in v.aliases), None)
        if former is None:
            raise RegistryError(
                f"{recipe} has no previous champion at {self}; promote the version you want "
                f"(there are: {_numbers(versions) or 'none'}): {promote_command(recipe, 'N')}"
            )
        withdrawn = next((v for v in versions if CHAMPION in v.aliases), None)
        if withdrawn is not None:
            self._tag(withdrawn, "withdrawn", reviewer, reason)
        self._point(recipe, CHAMPION, former.version)
        with spoken(self.uri):
            self._client.delete_registered_model_alias(recipe, PREVIOUS)
        instead = f" instead of {withdrawn.name}" if withdrawn else ""
        return self.champion(recipe), f"{former.name} is the champion again{instead}"

    def challenge(self, recipe: str, version: int) -> None:
        """Point the alias `challenger` to a version."""
        self._point(recipe, CHALLENGER, version)

    def _aliases(self, recipe: str) -> dict[str, str]:
        """Alias to version number; MLflow's search leaves them out of what it returns."""
        models = self._client.search_registered_models(f"name = '{recipe}'")
        return {a: str(v) for model in models for a, v in model.aliases.items()}

    def _point(self, recipe: str, alias: str, version: int) -> None:
        client = self._client
        with spoken(self.uri):
            client.set_registered_model_alias(recipe, alias, str(version))

    def _forget(self, version: Version, act: str) -> None:
        client = self._client
        with spoken(self.uri):
            for key in (k for k in version.tags if k.startswith(f"{act}.")):
                client.delete_model_version_tag(version.recipe, str(version.version), key)

    def _tag(self, version: Version, act: str, reviewer: str, reason: str) -> None:
        client = self._client
        at = self._now().astimezone(UTC).isoformat(timespec="seconds")
        with spoken(self.uri):
            for key, value in (("reviewer", reviewer), ("reason", reason), ("at", at)):
                number = str(version.version)
                client.set_model_version_tag(version.recipe, number, f"{act}.{key}", value)


def promote_command(recipe: str, version: int | str) -> str:
    """The command that signs a version off."""
    return f"lineside models promote {recipe} --version {version} --reviewer NAME --reason TEXT"


def _signed(reviewer: str, reason: str) -> tuple[str, str]:
    for name, value in (("reviewer", reviewer), ("reason", reason)):
        if not value.strip():
            raise RegistryError(
                f"the {name} is empty; a model goes to the line only with a name and a reason: "
                "--reviewer NAME --reason TEXT"
            )
    return reviewer.strip(), reason.strip()


def moment(stamp_ms: int | None) -> str:
    """MLflow's milliseconds as ISO 8601 in UTC, "" where there are none."""
    if not stamp_ms:
        return ""
    return datetime.fromtimestamp(stamp_ms / 1e3, UTC).isoformat(timespec="seconds")


def _numbers(versions: list[Version]) -> str:
    return ", ".join(str(v.version) for v in versions)


def _version(entry: Any, aliases: dict[str, str]) -> Version:
    number = str(entry.version)
    return Version(
        recipe=entry.name,
        version=int(number),
        bundle_sha256=entry.tags.get(SHA256_TAG, ""),
        run_id=entry.run_id or "",
        aliases=tuple(sorted(a for a, v in aliases.items() if v == number)),
        tags=dict(entry.tags),
        created_at=moment(entry.creation_timestamp),
    )
