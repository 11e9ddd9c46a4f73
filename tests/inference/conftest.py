"""A bundle whose graph pools the tiles of a part."""

from __future__ import annotations

import pytest

from pipeline.contracts.bundle import Bundle
from tests.pooled import pooled


@pytest.fixture
def pooled_bundle(sealed_bundle: Bundle) -> Bundle:
    return pooled(sealed_bundle)
