"""What every test gets."""

from __future__ import annotations

from uuid import uuid4

import pytest


@pytest.fixture(autouse=True)
def _limits_of_its_own(settings) -> None:
    """Rate limits are counted in the shared Valkey; each test starts from nothing and leaves nothing to others."""
    settings.RATE_LIMIT_PREFIX = f"test:{uuid4().hex}"
