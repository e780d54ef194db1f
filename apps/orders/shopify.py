"""Shopify's Admin API (GraphQL), within its budget.

Each query costs points that come back at a rate; every answer tells what is left (shopify.dev, "Shopify API limits").
The client waits until a query can be paid for, so it is seldom refused, and waits again when it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID, uuid4

from apps.core.breaker import Breaker
from apps.core.http import Client, PermanentFailure, Policy, TransientFailure, decoded
from apps.orders.models import Store

API_VERSION = "2026-07"
THROTTLED_ATTEMPTS = 5
TOO_DEAR = "MAX_COST_EXCEEDED"
LONGEST_PAUSE = 60.0
"""Seconds; whoever is asked to wait longer hands the work back."""


@dataclass(slots=True)
class Budget:
    """What is left of the points, as the last answer told it."""

    available: float = 0.0
    restore_rate: float = 100.0
    maximum: float = 1000.0
    at: float = 0.0
    last_cost: float = 0.0
    known: bool = False

    def learn(self, cost: Mapping[str, Any], at: float) -> None:
        """Take over what an answer says."""
        status = cost.get("throttleStatus") or {}
        self.available = float(status.get("currentlyAvailable", self.available))
        self.restore_rate = max(1.0, float(status.get("restoreRate", self.restore_rate)))
        self.maximum = float(status.get("maximumAvailable", self.maximum))
        self.last_cost = float(cost.get("requestedQueryCost") or self.last_cost)
        self.at, self.known = at, True

    def pause(self, cost: float, now: float) -> float:
        """Seconds until a query of this cost can be paid for."""
        if not self.known:
            return 0.0
        left = min(self.maximum, self.available + (now - self.at) * self.restore_rate)
        return max(0.0, (min(cost, self.maximum) - left) / self.restore_rate)


class AdminApi:
    """The Admin API of one store. Use it as a context manager, or close it.

    Args:
        store: with a token; see ``StoreQuerySet.reachable``.
        timeout: seconds for one attempt.
        policy: how often and how long it is tried; shorter where somebody waits for it.
        sleep, clock: replaced in tests.
    """

    def __init__(
        self,
        store: Store,
        *,
        timeout: float = 30.0,
        policy: Policy | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store = store
        self.budget = Budget()
        self._sleep, self._clock = sleep, clock
        self._client = Client(
            "shopify",
            store.api_base_url or f"https://{store.domain}",
            headers={"X-Shopify-Access-Token": store.api_token},
            timeout=timeout,
            policy=policy,
            # One shop that is down must not stop the others.
            breaker=Breaker(f"shopify:{store.pk}", probe_seconds=35),
            sleep=sleep,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def execute(self, query: str, variables: dict[str, Any], *, key: UUID | None = None) -> dict[str, Any]:
        """Run a query or a mutation and return its ``data``.

        Args:
            key: of a mutation; says that it may be sent again, because repeating it changes nothing. A query always may.

        Raises:
            TransientFailure: no answer, too busy, or no points left for longer than is sensible to wait.
            PermanentFailure: refused, such as without permission or by a mistake in the query.
        """
        mutation = query.lstrip().startswith("mutation")
        repeat = str(key) if key else (None if mutation else str(uuid4()))
        for attempt in range(THROTTLED_ATTEMPTS):
            self._wait(self.budget.last_cost)
            answer = self._send(query, variables, repeat)
            errors = answer.get("errors") or []
            if not errors:
                return dict(answer.get("data") or {})
            if not _throttled(errors):
                raise _failure(errors)
            if attempt + 1 < THROTTLED_ATTEMPTS:
                self._sleep(max(1.0, self.budget.pause(self.budget.last_cost, self._clock())))
        pause = max(1.0, self.budget.pause(self.budget.last_cost, self._clock()))
        raise TransientFailure("shopify has no points left for us", code="throttled", retry_after=pause)

    def mutate(
        self, mutation: str, variables: dict[str, Any], field: str, *, key: UUID | None = None
    ) -> dict[str, Any]:
        """Run a mutation of one field and return it.

        Raises:
            PermanentFailure: also if Shopify names errors of the user; the text says which.
        """
        found = self.execute(mutation, variables, key=key).get(field) or {}
        errors = found.get("userErrors") or []
        if errors:
            words = "; ".join(str(error.get("message", ""))[:200] for error in errors[:5])
            raise PermanentFailure(f"shopify refused it: {words}", code="user_error")
        return dict(found)

    def _wait(self, cost: float) -> None:
        pause = self.budget.pause(cost, self._clock())
        if pause > LONGEST_PAUSE:
            raise TransientFailure("shopify has no points left for us", code="throttled", retry_after=pause)
        if pause:
            self._sleep(pause)

    def _send(self, query: str, variables: dict[str, Any], repeat: str | None) -> dict[str, Any]:
        path = f"/admin/api/{API_VERSION}/graphql.json"
        response = self._client.request(
            "POST", path, json={"query": query, "variables": variables}, idempotency_key=repeat
        )
        answer = decoded(response, "shopify")
        if not isinstance(answer, dict):
            raise TransientFailure("shopify sent something that is not an answer", code="broken_answer")
        self.budget.learn((answer.get("extensions") or {}).get("cost") or {}, self._clock())
        return answer


def _codes(errors: Any) -> set[str]:
    if not isinstance(errors, list):  # such as {"errors": "[API] Invalid API key or access token"}
        return set()
    return {str((error.get("extensions") or {}).get("code", "")) for error in errors if isinstance(error, dict)}


def _throttled(errors: Any) -> bool:
    return "THROTTLED" in _codes(errors)


def _failure(errors: Any) -> TransientFailure | PermanentFailure:
    codes = _codes(errors)
    if codes & {"INTERNAL_SERVER_ERROR", "TIMEOUT", "SERVICE_UNAVAILABLE"}:
        return TransientFailure("shopify failed inside", code="internal", maybe_done=True)
    if TOO_DEAR in codes:
        return PermanentFailure("shopify finds the query too dear", code=TOO_DEAR)
    named = ", ".join(sorted(codes - {""})) or "without a code"
    return PermanentFailure(f"shopify refused the query ({named})", code="graphql_error")
