"""Facts made by hand, for tests of what is pure."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from apps.subscriptions.facts import Facts
from tests.subscriptions.factories import NOW, RENEWS_ON

HEALTHY = Facts(
    subscription_id=UUID(int=1),
    owner_id=1,
    scope_id=None,
    price=Decimal("20.00"),
    currency="USD",
    renews_on=RENEWS_ON,
    status="active",
    consecutive_failures=0,
    total_attempts=0,
    last_attempt_at=None,
    last_decline_kind="",
    balance_amount=Decimal("100.00"),
    balance_currency="USD",
    balance_as_of=NOW - timedelta(days=1),
    approval_expires_at=NOW + timedelta(days=90),
)


def facts(**changes: Any) -> Facts:
    """The facts of a healthy subscription, with some of them changed."""
    values = {name: getattr(HEALTHY, name) for name in HEALTHY.__dataclass_fields__}
    return Facts(**{**values, **changes})
