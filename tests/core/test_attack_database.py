"""The database goes away and comes back: pooled connections are looked at before they are handed out."""

from __future__ import annotations

import pytest

from config.env import database


@pytest.mark.parametrize(("pool_size", "checked"), [(None, False), (10, True)])
def test_connections_of_a_pool_are_checked_and_new_ones_need_it_not(pool_size: int | None, checked: bool) -> None:
    assert database("postgres://someone@localhost/riskdesk", pool_size=pool_size)["CONN_HEALTH_CHECKS"] is checked
