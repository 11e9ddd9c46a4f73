"""A registry of three versions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.contracts.bundle import Bundle
from tests.daemon.fake_registry import FakeRegistry


@pytest.fixture
def bundles(seal_bundle: Callable[..., Bundle], tmp_path: Path) -> list[Bundle]:
    """Three of different identity; by the second and third a part in doubt fails."""
    return [
        seal_bundle(tmp_path / f"bundle-{n}", fail_from=limit)
        for n, limit in ((1, 0.8), (2, 0.4), (3, 0.3))
    ]


@pytest.fixture
def there(bundles: list[Bundle]) -> FakeRegistry:
    return FakeRegistry(*bundles, champion=1)
