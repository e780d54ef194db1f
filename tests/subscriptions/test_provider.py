"""The payment provider's adapter against a server that misbehaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from uuid import uuid4

import pytest

from apps.core.http import CircuitOpen, PermanentFailure, Policy, TransientFailure
from apps.subscriptions.models import PaymentProvider
from apps.subscriptions.provider import Charge, HttpProvider, State
from tests.support.faulty_server import FaultyServer, answer, drop, faulty_server, half_answer, malformed, silence

TOKEN = "sk_live_9c8b7a"
CHARGE = Charge(uuid4(), Decimal("20.00"), "USD", "pm_1", "Plan 1")
PAID = {"id": "ch_1", "status": "paid", "amount": "20.00", "currency": "USD"}


def says(code: int = 200, **body: object):
    return answer(code, json.dumps(body).encode())


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with faulty_server() as running:
        yield running


@pytest.fixture
def make(server: FaultyServer) -> Iterator[Callable[..., HttpProvider]]:
    made: list[HttpProvider] = []

    def build(timeout: float = 2.0, attempts: int = 3) -> HttpProvider:
        row = PaymentProvider(pk=uuid4().int % 10**9, name="Bank", base_url=f"{server.url}/v1", api_token=TOKEN)
        made.append(HttpProvider(row, timeout=timeout, policy=Policy(attempts=attempts), sleep=lambda _: None))
        return made[-1]

    yield build
    for provider in made:
        provider._client.breaker.reset()
        provider.close()


def test_a_charge_is_asked_for_with_its_key(make, server) -> None:
    server.plan = [says(201, **PAID)]
    outcome = make().charge(CHARGE)
    assert (outcome.state, outcome.charge_id) == (State.PAID, "ch_1")
    seen = server.seen[0]
    assert (seen.method, seen.path, seen.headers["idempotency-key"]) == ("POST", "/v1/charges", str(CHARGE.key))
    assert seen.headers["authorization"] == f"Bearer {TOKEN}"
    assert json.loads(seen.body)["amount"] == "20.00"


@pytest.mark.parametrize("status", [200, 402])
def test_a_decline_is_an_answer_and_no_failure(make, server, status) -> None:
    server.plan = [says(status, id="ch_2", status="declined", decline_code="51", message="Not enough money")]
    outcome = make().charge(CHARGE)
    assert (outcome.state, outcome.decline_code) == (State.DECLINED, "51")
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "fault", [drop, half_answer, malformed, answer(500), answer(503), answer(429)],
    ids=["drop", "half", "malformed", "500", "503", "429"],
)  # fmt: skip
def test_a_fault_is_repeated_with_the_same_key_and_body(make, server, fault) -> None:
    server.plan = [fault, says(**PAID)]
    assert make().charge(CHARGE).state == State.PAID
    assert {seen.headers["idempotency-key"] for seen in server.seen} == {str(CHARGE.key)}
    assert len({seen.body for seen in server.seen}) == 1
    assert len(server.seen) == 2


def test_no_answer_in_time_leaves_the_outcome_unknown(make, server) -> None:
    server.plan = [silence(2)]
    with pytest.raises(TransientFailure) as caught:
        make(timeout=0.3, attempts=1).charge(CHARGE)
    assert caught.value.maybe_done


@pytest.mark.parametrize(
    "fault",
    [
        answer(200, b"<html>maintenance</html>"),
        says(status="perhaps"),
        says(200, surprise=1),
        says(402, **PAID),
        says(status="unknown"),
        answer(200, b"[1, 2]"),
        answer(200, b'{"status": "paid", "amount": "NaN"}'),
    ],
)
def test_an_answer_that_makes_no_sense_leaves_the_outcome_unknown(make, server, fault) -> None:
    server.plan = [fault]
    with pytest.raises((TransientFailure, PermanentFailure)) as caught:
        make().charge(CHARGE)
    assert caught.value.maybe_done


@pytest.mark.parametrize("wrong", [{"amount": "2000.00"}, {"currency": "EUR"}])
def test_an_answer_about_another_amount_is_for_people(make, server, wrong) -> None:
    server.plan = [says(**{**PAID, **wrong})]
    with pytest.raises(PermanentFailure) as caught:
        make().charge(CHARGE)
    assert caught.value.code == "answer_mismatch"
    assert caught.value.maybe_done


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refusal_is_permanent_and_surely_charged_nothing(make, server, status) -> None:
    server.plan = [answer(status)]
    with pytest.raises(PermanentFailure) as caught:
        make().charge(CHARGE)
    assert not caught.value.maybe_done
    assert len(server.seen) == 1


def test_a_key_that_is_being_worked_on_leaves_the_outcome_unknown(make, server) -> None:
    server.plan = [answer(409)]
    with pytest.raises(TransientFailure) as caught:
        make().charge(CHARGE)
    assert caught.value.maybe_done


def test_what_became_of_a_charge_can_be_asked(make, server) -> None:
    server.plan = [says(**PAID), says(404, status="unknown"), says(status="pending")]
    provider = make()
    assert [provider.find(CHARGE).state for _ in range(3)] == [State.PAID, State.UNKNOWN, State.PENDING]
    assert {(seen.method, seen.path) for seen in server.seen} == {("GET", f"/v1/charges/{CHARGE.key}")}


def test_any_other_page_that_is_not_there_proves_nothing(make, server) -> None:
    server.plan = [says(404, error="no such route")]
    with pytest.raises(PermanentFailure):
        make().find(CHARGE)


def test_each_provider_has_a_breaker_of_its_own(make, server) -> None:
    server.plan = [answer(500)]
    ill, well = make(attempts=6), make(attempts=1)
    with pytest.raises(CircuitOpen):
        ill.charge(CHARGE)
    seen = len(server.seen)
    server.plan = [says(**PAID)]
    assert well.charge(CHARGE).state == State.PAID
    assert len(server.seen) == seen + 1


def test_errors_do_not_hold_the_token(make, server) -> None:
    server.plan = [answer(403, TOKEN.encode())]
    with pytest.raises(PermanentFailure) as caught:
        make().charge(CHARGE)
    assert TOKEN not in str(caught.value) + repr(caught.value)
