"""The checks' own copy of the site is made once for each process; tests change the settings that it is made of."""

from __future__ import annotations

import pytest

from apps.register import probing


@pytest.fixture(autouse=True)
def _site_of_its_own() -> None:
    probing.site_of_this_process.cache_clear()
