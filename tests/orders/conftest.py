"""A shop with an Admin API, for those tests that ask for one."""

from __future__ import annotations

import pytest

from tests.support.admin_api import TOKEN, admin_api_server


@pytest.fixture
def admin_shop():
    with admin_api_server() as running:
        yield running


@pytest.fixture
def reachable(admin_shop, db):
    """A store whose Admin API is the local server."""
    from tests.orders.factories import StoreFactory

    return StoreFactory(api_base_url=admin_shop.url, api_token=TOKEN)
