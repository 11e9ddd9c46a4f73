"""The registry as the commands that only look at it read it: quickly, and nothing else.

MLflow takes seconds to import. A server is therefore asked through MLflow's REST interface with the
standard library; a database, and a server whose access needs more than a user and a password or a
token, through MLflow itself. What is returned has the fields of MLflow's entities that are read.
"""

from __future__ import annotations

import base64
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from pipeline.registry.connection import check
from pipeline.registry.store import Registry

TIMEOUT_S = 20
# What makes MLflow's own client authenticate or connect in another way.
OTHER_ACCESS = (
    "MLFLOW_TRACKING_AUTH",
    "MLFLOW_TRACKING_AWS_SIGV4",
    "MLFLOW_TRACKING_INSECURE_TLS",
    "MLFLOW_TRACKING_SERVER_CERT_PATH",
    "MLFLOW_TRACKING_CLIENT_CERT_PATH",
    "MLFLOW_WORKSPACE",
)
CREDENTIALS = Path("~/.mlflow/credentials")  # of MLflow's own client


class ReadingRegistry(Registry):
    """A registry that is only read; `client` has no more than what reading takes."""

    @cached_property
    def client(self) -> Any:
        """A server's REST interface, or else MLflow's own client."""
        return RestReader(self.uri) if is_plain(self.uri) else super().client


def is_plain(uri: str) -> bool:
    """Is it a server that takes a user and a password, a token, or nothing?"""
    if not uri.startswith(("http://", "https://")):
        return False
    named = "MLFLOW_TRACKING_USERNAME" in os.environ or "@" in urllib.parse.urlsplit(uri).netloc
    return not any(os.environ.get(name) for name in OTHER_ACCESS) and (
        named or not CREDENTIALS.expanduser().exists()
    )


class RestError(OSError):
    """An answer of the server that is an error, as MLflow's own exceptions are."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self._status = status

    def get_http_status_code(self) -> int:
        """Status of the answer."""
        return self._status


class FoundPage(list[Any]):
    """What a search has found, and the token of the next page."""

    token: str | None = None


class RestReader:
    """The methods of MLflow's client that reading takes, through the REST interface.

    All raise OSError: `RestError` where the server answers with an error.
    """

    def __init__(self, uri: str) -> None:
        """Check that the server answers.

        Raises:
            RegistryUnreachable: it does not.
        """
        check(uri)
        self._address = re.sub(r"://[^/@]*@", "://", uri).rstrip("/")
        self._headers = _access(uri)

    def search_registered_models(
        self, filter_string: str | None = None, *, page_token: str | None = None
    ) -> FoundPage:
        """Registered models with tags and aliases."""
        answer = self._get("registered-models/search", filter=filter_string, page_token=page_token)
        found = FoundPage(
            SimpleNamespace(
                name=model["name"],
                tags=_pairs(model.get("tags")),
                aliases={a["alias"]: a["version"] for a in model.get("aliases", ())},
            )
            for model in answer.get("registered_models", ())
        )
        found.token = answer.get("next_page_token") or None
        return found

    def search_model_versions(
        self, filter_string: str | None = None, *, page_token: str | None = None
    ) -> FoundPage:
        """Versions with their tags."""
        answer = self._get("model-versions/search", filter=filter_string, page_token=page_token)
        found = FoundPage(
            SimpleNamespace(
                name=version["name"],
                version=version["version"],
                tags=_pairs(version.get("tags")),
                run_id=version.get("run_id", ""),
                creation_timestamp=int(version.get("creation_timestamp", 0)),
                description=version.get("description", ""),
            )
            for version in answer.get("model_versions", ())
        )
        found.token = answer.get("next_page_token") or None
        return found

    def get_model_version_download_uri(self, name: str, version: str) -> str:
        """Where a version's files lie."""
        answer = self._get("model-versions/get-download-uri", name=name, version=version)
        return str(answer.get("artifact_uri", ""))

    def get_run(self, run_id: str) -> Any:
        """A run with its metrics, params and place."""
        run = self._get("runs/get", run_id=run_id)["run"]
        data = run.get("data", {})
        return SimpleNamespace(
            info=SimpleNamespace(
                lifecycle_stage=run["info"].get("lifecycle_stage", ""),
                artifact_uri=run["info"].get("artifact_uri", ""),
            ),
            data=SimpleNamespace(
                metrics={m["key"]: float(m["value"]) for m in data.get("metrics", ())},
                params=_pairs(data.get("params")),
            ),
        )

    def list_artifacts(self, run_id: str) -> list[Any]:
        """The files at the top of a run's artifacts."""
        files: list[Any] = []
        token: str | None = None
        while True:
            answer = self._get("artifacts/list", run_id=run_id, page_token=token)
            files += [SimpleNamespace(path=file["path"]) for file in answer.get("files", ())]
            token = answer.get("next_page_token") or None
            if not token:
                return files

    def _get(self, path: str, **query: str | None) -> dict[str, Any]:
        asked = urllib.parse.urlencode({k: v for k, v in query.items() if v})
        request = urllib.request.Request(
            f"{self._address}/api/2.0/mlflow/{path}?{asked}", headers=self._headers
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                found = json.load(answer)
        except urllib.error.HTTPError as error:
            raise _refusal(error) from error
        except ValueError as error:
            raise RestError(f"the answer to {path} is not JSON (error code 404)", 404) from error
        return cast(dict[str, Any], found)


def _access(uri: str) -> dict[str, str]:
    """The headers that MLflow's client would send."""
    parts = urllib.parse.urlsplit(uri)
    user = parts.username or os.environ.get("MLFLOW_TRACKING_USERNAME")
    password = parts.password or os.environ.get("MLFLOW_TRACKING_PASSWORD")
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    if user and password:
        if parts.username:
            user, password = urllib.parse.unquote(user), urllib.parse.unquote(password)
        named = base64.b64encode(f"{user}:{password}".encode()).decode()
        return {"Authorization": f"Basic {named}"}
    return {"Authorization": f"Bearer {token}"} if token else {}


def _refusal(error: urllib.error.HTTPError) -> RestError:
    """An error of the server in the words of MLflow's own client."""
    with error:
        content = error.read().decode("utf-8", "replace")
    try:
        found = json.loads(content)
        return RestError(f"{found['error_code']}: {found['message']}", error.code)
    except (ValueError, KeyError, TypeError):
        return RestError(f"failed with error code {error.code}: {content}", error.code)


def _pairs(entries: Any) -> Mapping[str, str]:
    return {entry["key"]: entry.get("value", "") for entry in entries or ()}
