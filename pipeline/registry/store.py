"""The registry: versions of a recipe, their download, and the decisions about them.

Needs only what a station installs.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.contracts.bundle import Bundle, open_bundle
from pipeline.errors import BundleError, NoChampion, RegistryError, choices, printable
from pipeline.files import whole_folder
from pipeline.registry.alias import promote_command, rollback_command
from pipeline.registry.connection import connect, default_uri, shown, spoken
from pipeline.registry.dossier import Dossier, gather
from pipeline.registry.download import download
from pipeline.registry.review import Outcome, Review
from pipeline.registry.signoffs import SignoffBook
from pipeline.registry.versions import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    SHA256_TAG,
    Version,
    from_mlflow,
    moment,
    numbers,
    of_recipe,
    one_of,
)

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "PREVIOUS",
    "SHA256_TAG",
    "Registry",
    "Version",
    "moment",
    "promote_command",
    "utc_now",
]


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
    def client(self) -> MlflowClient:
        """MLflow's own client, connected when first asked for."""
        return connect(self.uri)

    def versions(self, recipe: str) -> list[Version]:
        """All versions of a recipe, oldest first; none if it was never registered."""
        client = self.client
        with spoken(self.uri):
            aliases = self._aliases(recipe)
            found: list[ModelVersion] = []
            token: str | None = None
            while True:
                page = client.search_model_versions(of_recipe(recipe), page_token=token)
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
        with spoken(self.uri):
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
        return one_of(versions, recipe, number, str(self))

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
            todo = self._lost(recipe, versions) or (
                "sign one off: " + promote_command(recipe, versions[-1].version)
            )
        else:
            todo = f"versions there: {numbers(versions)}"
        raise NoChampion(f'recipe {recipe} has no version with alias "{alias}" at {self}; {todo}')

    def _lost(self, recipe: str, versions: list[Version]) -> str:
        """What to do where somebody was promoted and the alias is gone; empty where nobody was."""
        lost = self.signoffs(recipe).read().standing.champion
        if lost is None:
            return ""
        there = lost in {v.version for v in versions}
        what = "has lost the alias" if there else "was deleted in MLflow"
        return (
            f"{recipe}/{lost}, which was signed off, {what}; go back to the champion before "
            f"({rollback_command(recipe)}) or sign one off: "
            + promote_command(recipe, lost if there else "N")
        )

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
            try:
                download(self.uri, self._source(version), aside, version.bundle_sha256)
            except BundleError as error:
                raise BundleError(f"{version.name} from {self}: {error}") from error
        return open_bundle(into, version.bundle_sha256)

    def _source(self, version: Version) -> str:
        """Where the files of a version's logged model lie."""
        with spoken(self.uri):
            source = self.client.get_model_version_download_uri(
                version.recipe, str(version.version)
            )
            if source.startswith("models:/"):
                model = self.client.get_logged_model(source.removeprefix("models:/"))
                source = str(model.artifact_location)
            return source

    def promote(
        self, recipe: str, version: int | str, reviewer: str, reason: str, override: str = ""
    ) -> Outcome:
        """Sign a version off: it becomes the champion, the former one is kept as `previous`.

        Before it is signed the bundle is downloaded and every hash verified, and the tags that the
        gate's verdict stands in are compared with the run's evaluation.json. Promoting the champion
        itself changes nothing.

        Args:
            recipe: whose version.
            version: its number or an alias of it.
            reviewer: who answers for it.
            reason: why, for whoever reads it later.
            override: why regardless of a gate that is not passed, an evaluation.json that the run
                does not hold, or a rejection. Nothing overrides a file or tag that was changed.

        Raises:
            RegistryError: an unknown version, a gate that is not passed, no reviewer or reason; or
                a tag that says otherwise than evaluation.json.
            BundleError: a file of the bundle was altered, is missing or was added.
            SignoffError: the sign-offs do not verify, or somebody decided at the same moment.
            RegistryForbidden: this user may not decide.
        """
        return Review(self, recipe).promote(version, reviewer, reason, override)

    def reject(self, recipe: str, version: int | str, reviewer: str, reason: str) -> Outcome:
        """Refuse a version, which is no challenger then and needs an override to be promoted.

        Raises:
            RegistryError: an unknown version or the champion, or no reviewer or reason given.
            SignoffError, RegistryForbidden: as `promote`.
        """
        return Review(self, recipe).reject(version, reviewer, reason)

    def rollback(self, recipe: str, reviewer: str, reason: str) -> Outcome:
        """Return to the champion before; the withdrawn one is never restored by this.

        Doing it twice goes one further back. It needs no gate, since it must work when in need,
        also when the champion's version was deleted in MLflow. A champion whose bundle was altered
        is passed over for the one before; where a bundle cannot be downloaded at this moment it is
        restored unverified. What was done is said in the outcome.

        Raises:
            RegistryError: there is no previous champion, or no reviewer or reason given.
            BundleError: the bundles of all previous champions were altered.
            SignoffError, RegistryForbidden: as `promote`.
        """
        return Review(self, recipe).rollback(reviewer, reason)

    def dossier(self, version: Version) -> Dossier:
        """The version's figures, settings and places; raises RegistryUnreachable."""
        return gather(self.client, self.uri, version)

    def signoffs(self, recipe: str) -> SignoffBook:
        """The recipe's sign-offs, to be read or added to."""
        return SignoffBook(self.client, self.uri, recipe, self._now)

    def challenge(self, recipe: str, version: int) -> None:
        """Point the alias `challenger` to a version."""
        self._point(recipe, CHALLENGER, version)

    def _aliases(self, recipe: str) -> dict[str, str]:
        """Alias to version number; MLflow's search leaves them out of what it returns."""
        models = self.client.search_registered_models(of_recipe(recipe))
        return {a: str(v) for model in models for a, v in model.aliases.items()}

    def _point(self, recipe: str, alias: str, version: int) -> None:
        client = self.client
        with spoken(self.uri):
            client.set_registered_model_alias(recipe, alias, str(version))
