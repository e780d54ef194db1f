"""Payment providers: charging a renewal, and asking what became of a charge.

A provider is whatever fits :class:`Provider`. :class:`HttpProvider` speaks the JSON protocol that docs/payments.md
describes; another provider is another class and an entry in :func:`provider_for`.

Guarantee asked of a provider: two charges with the same key are one charge, and the second is answered like the first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol, Self
from uuid import UUID

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from apps.core.breaker import Breaker
from apps.core.http import Client, PermanentFailure, Policy, TransientFailure, decoded
from apps.subscriptions.models import PaymentProvider

TIMEOUT = 20.0
"""Seconds for one exchange; a bank may need most of it."""
POLICY = Policy(attempts=3, base_delay=0.5, max_delay=4.0, patience=10.0, max_bytes=64 * 1024)


class State(StrEnum):
    """What became of a charge."""

    PAID = "paid"
    DECLINED = "declined"
    PENDING = "pending"
    UNKNOWN = "unknown"
    """The provider has never heard of the key: nothing was charged."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What is to be charged. The key is the same for each repetition."""

    key: UUID
    amount: Decimal
    currency: str
    payment_method: str
    description: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the provider says about a charge."""

    state: State
    charge_id: str = ""
    decline_code: str = ""
    message: str = ""


class Provider(Protocol):
    """Somebody who can charge a stored payment method."""

    def charge(self, charge: Charge) -> Outcome:
        """Charge, or say what became of the charge with this key before. Repeating it never charges twice.

        Raises:
            TransientFailure: what happened is not known, or nothing did; ask again later with the same key.
            PermanentFailure: refused; ``maybe_done`` says whether money may have moved all the same.
        """

    def find(self, charge: Charge) -> Outcome:
        """What became of a charge, without charging; ``UNKNOWN`` if there was none.

        Raises:
            TransientFailure, PermanentFailure: as above.
        """

    def close(self) -> None:
        """Let go of connections."""


class _Answer(BaseModel):
    """A charge as the provider describes it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = Field("", max_length=120)
    status: State
    amount: Decimal | None = None
    currency: str | None = None
    decline_code: str = Field("", max_length=60)
    message: str = Field("", max_length=500)


class HttpProvider:
    """A provider over HTTP and JSON. Use it as a context manager, or close it.

    Timeouts, retries with backoff, the limit on answers and the circuit breaker are those of
    :class:`apps.core.http.Client`; each provider has a breaker of its own.
    """

    def __init__(self, row: PaymentProvider, *, timeout: float = TIMEOUT, policy: Policy = POLICY,
                 sleep: Callable[[float], None] = time.sleep) -> None:  # fmt: skip
        self._client = Client(
            "payments",
            row.base_url,
            headers={"Authorization": f"Bearer {row.api_token}"},
            timeout=timeout,
            policy=policy,
            breaker=Breaker(f"payments:{row.pk}", probe_seconds=timeout + 5),
            sleep=sleep,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def charge(self, charge: Charge) -> Outcome:
        body = {
            "amount": str(charge.amount),
            "currency": charge.currency,
            "payment_method": charge.payment_method,
            "description": charge.description,
            "reference": str(charge.key),
        }
        try:
            response = self._client.request("POST", "charges", json=body, idempotency_key=str(charge.key))
        except PermanentFailure as error:
            if error.code == "http_409":
                # Another exchange with this key is not over, such as one that we gave up waiting for.
                words = "payments is still working on this charge"
                raise TransientFailure(words, code="http_409", response=error.response, maybe_done=True) from None
            # 402 Payment Required is how card providers put a decline.
            if error.code != "http_402" or error.response is None:
                raise
            response = error.response
        return self._outcome(response, charge)

    def find(self, charge: Charge) -> Outcome:
        try:
            response = self._client.request("GET", f"charges/{charge.key}")
        except PermanentFailure as error:
            if error.code != "http_404":
                raise
            return self._none(error)
        return self._outcome(response, charge)

    def _none(self, error: PermanentFailure) -> Outcome:
        """That there is no such charge; only the provider itself may say so, not any page with that status."""
        answer = decoded(error.response, "payments") if error.response is not None else None
        if isinstance(answer, dict) and answer.get("status") == State.UNKNOWN:
            return Outcome(State.UNKNOWN)
        raise error

    def _outcome(self, response: httpx.Response, charge: Charge) -> Outcome:
        answer = _parsed(decoded(response, "payments"), response)
        refused = response.status_code == httpx.codes.PAYMENT_REQUIRED
        if answer.status == State.UNKNOWN or (refused and answer.status != State.DECLINED):
            raise _damaged(response)
        same = (answer.amount in (None, charge.amount), answer.currency in (None, charge.currency))
        if not all(same):
            words = "payments answered about another amount or currency than was asked"
            raise PermanentFailure(words, code="answer_mismatch", response=response, maybe_done=True)
        return Outcome(answer.status, answer.id, answer.decline_code, answer.message)


def _parsed(answer: Any, response: httpx.Response) -> _Answer:
    try:
        return _Answer.model_validate(answer)
    except ValidationError:
        raise _damaged(response) from None


def _damaged(response: httpx.Response) -> TransientFailure:
    # Transient, because what happened is not known, and asking again with the same key finds out.
    return TransientFailure(
        "payments sent an answer that cannot be understood", code="not_an_answer", response=response, maybe_done=True
    )


def provider_for(row: PaymentProvider) -> Provider:
    """Talk to a provider; close it in the end."""
    return HttpProvider(row)
