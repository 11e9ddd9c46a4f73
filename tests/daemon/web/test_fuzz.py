"""Requests made at random from the web service's own description of itself."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import status_code_conformance

from pipeline.daemon.settings.http import Http
from pipeline.daemon.web.app import routes_of
from tests.daemon.web.conftest import Fired, Serve

pytestmark = pytest.mark.slow


def test_no_request_breaks_the_service_or_is_answered_as_it_does_not_describe(
    serve: Serve,
) -> None:
    served = serve(trigger=Fired())
    described = routes_of(served.web.service, Http(open_on_loopback=True)).openapi()
    schema = schemathesis.openapi.from_dict(described)
    asked = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()

        @settings(
            max_examples=15,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: schemathesis.Case[Any]) -> None:
            nonlocal asked
            asked += 1
            case.call_and_validate(
                base_url=served.web.address, checks=[not_a_server_error, status_code_conformance]
            )

        ask()
    assert asked > 60
    assert served.send().status == 202
    assert served.ask("GET", "/healthz").status == 200
