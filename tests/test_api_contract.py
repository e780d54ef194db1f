"""The API keeps to its own description: requests made from it, right and wrong, with all of schemathesis' checks.

The same requests each time, so many of each operation and kind that the whole file takes less than a minute.
"""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import uuid4

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig

from apps.actions.models import Execution
from apps.core import tokens
from apps.core.roles import Role
from apps.subscriptions import scores
from apps.subscriptions.models import RecalculationRun
from tests.actions.factories import NOW, CardFactory, example_executor, example_rule
from tests.core.factories import PASSWORD, person
from tests.escalation.factories import raised, ticket
from tests.knowledge.factories import VersionFactory, published
from tests.register.desk import an_acceptance
from tests.register.factories import a_control, a_mitigation, a_risk
from tests.subscriptions.factories import ApprovalFactory, BalanceFactory, RenewalAttemptFactory, SubscriptionFactory

pytestmark = pytest.mark.django_db

EXAMPLES = 10
# A request can be right by the description and wrong for the subscription it is about, for the state it is in, or for the
# version that is there now.
EXPECTED = ["2xx", "404", "409", "412", "422", "428"]
# What is too long may be too large before it is looked at.
REFUSED = ["400", "401", "403", "404", "405", "406", "409", "412", "413", "415", "422", "428", "429"]


@pytest.fixture(autouse=True)
def _one_connection() -> Iterator[None]:
    """Requests stay in the test's transaction, as with Django's own client."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture(autouse=True)
def _effects() -> Iterator[None]:
    """The rule of the cards, and what approving one can do."""
    with example_rule(), example_executor():
        yield


@cache
def operations(mode: GenerationMode) -> dict[str, Any]:
    """The operations, by label. A text without null bytes is more than a description can ask for, and no text has one."""
    expected = {
        "positive_data_acceptance": {"expected-statuses": EXPECTED},
        "negative_data_rejection": {"expected-statuses": REFUSED},
    }
    config = SchemathesisConfig.from_dict(
        {"checks": expected, "generation": {"allow-x00": mode is GenerationMode.NEGATIVE}}
    )
    document = SchemaGenerator().get_schema(request=None, public=True)
    schema = schemathesis.openapi.from_dict(document, config=config)
    schema.app = get_wsgi_application()  # the checks send requests of their own
    return {found.ok().label: found.ok() for found in schema.get_all_operations()}


TESTED = {
    "GET /api/risk-score", "POST /api/risk-score/recalculate", "GET /api/risk-score/recalculate/{run_id}",
    "GET /api/risk-score/{subscription_id}", "POST /api/risk-score/{subscription_id}/calculate",
    "GET /api/risk-score/{subscription_id}/history", "GET /api/subscriptions/{subscription_id}/attempts",
    "POST /api/subscriptions/{subscription_id}/attempts", "GET /api/subscriptions/{subscription_id}/approvals",
    "POST /api/subscriptions/{subscription_id}/approvals",
    "POST /api/subscriptions/{subscription_id}/approvals/{approval_id}/revoke",
    "GET /api/subscriptions/{subscription_id}/balance", "PUT /api/subscriptions/{subscription_id}/balance",
    "GET /api/tickets", "POST /api/tickets", "GET /api/tickets/{ticket_id}", "POST /api/tickets/{ticket_id}/edit",
    "POST /api/tickets/{ticket_id}/reply", "POST /api/tickets/{ticket_id}/receive",
    "POST /api/tickets/{ticket_id}/note", "POST /api/tickets/{ticket_id}/assign",
    "POST /api/tickets/{ticket_id}/transition", "POST /api/tickets/{ticket_id}/merge",
    "GET /api/flags", "POST /api/flags", "GET /api/flags/{flag_id}", "POST /api/flags/{flag_id}/transition",
    "POST /api/flags/{flag_id}/acknowledge", "POST /api/flags/{flag_id}/level", "POST /api/flags/{flag_id}/note",
    "GET /api/risks", "POST /api/risks", "GET /api/risks/{risk_id}", "PATCH /api/risks/{risk_id}",
    "POST /api/risks/{risk_id}/ratings", "POST /api/risks/{risk_id}/status", "POST /api/risks/{risk_id}/acceptances",
    "POST /api/risks/{risk_id}/mitigations", "POST /api/acceptances/{acceptance_id}/decide",
    "GET /api/mitigations/{mitigation_id}", "PATCH /api/mitigations/{mitigation_id}", "GET /api/controls",
    "POST /api/controls/{control_id}/attestations", "GET /api/assessments",
    "GET /api/knowledge/search", "GET /api/knowledge/articles/{slug}", "POST /api/knowledge/answer",
    "GET /api/reminders/status", "GET /api/cards/", "GET /api/cards/{id}/",
    *(f"POST /api/cards/{{id}}/{name}/" for name in ("approve", "dismiss", "escalate", "note", "retry", "roll-back")),
    "GET /api/tokens", "POST /api/tokens", "DELETE /api/tokens/{token_id}",
}  # fmt: skip


def test_every_operation_is_tested() -> None:
    assert set(operations(GenerationMode.POSITIVE)) == TESTED


NOWHERE = str(uuid4())


def subscriptions() -> list[str]:
    """One with something of everything, most often; and one that does not exist."""
    now = timezone.now()
    found = SubscriptionFactory(renews_on=now.date())
    BalanceFactory(subscription=found)
    RenewalAttemptFactory(subscription=found, success=False, renewal_on=now.date(), attempt_date=now)
    scores.recalculate([found.pk], now=now)
    return [str(found.pk)] * 3 + [NOWHERE]


def approvals(of: str) -> list[str]:
    until = timezone.now() + timedelta(days=9)
    return [*[str(ApprovalFactory(subscription_id=of, expires_at=until).pk) for _ in range(3)], NOWHERE]


def runs() -> list[str]:
    return [str(RecalculationRun.objects.create(trigger="api", as_of=timezone.now(), batch_size=1).pk), "999999"]


def cards() -> list[str]:
    """One to decide about, most often; two in states in which other decisions make sense; and one that does not exist."""
    made = [CardFactory(status=status) for status in ("open", "open", "failed", "executed")]
    for card, done in zip(made[2:], ("failed", "succeeded"), strict=True):
        actor = person(Role.OPERATOR)
        Execution.objects.create(card=card, action="note-down", status=done, requested_by=actor, created_at=NOW)
    return [*[str(card.pk) for card in made], "999999"]


MADE: dict[str, Callable[[], list[str]]] = {
    "subscription_id": subscriptions,
    "run_id": runs,
    "id": cards,
    "token_id": lambda: [NOWHERE],
    "ticket_id": lambda: [*[str(ticket().pk) for _ in range(3)], "999999"],
    "risk_id": lambda: [*[str(a_risk().pk) for _ in range(3)], "999999"],
    "acceptance_id": lambda: [*[str(an_acceptance().pk) for _ in range(3)], "999999"],
    "mitigation_id": lambda: [*[str(a_mitigation(a_risk()).pk) for _ in range(3)], "999999"],
    "control_id": lambda: [*[str(a_control().pk) for _ in range(3)], "999999"],
    "slug": lambda: [published(VersionFactory.create()).article.slug] * 3 + ["nowhere"],
    "flag_id": lambda: [*[str(raised(level=level).pk) for level in (2, 3, 5)], "999999"],
}


LISTED = {
    "GET /api/risk-score": "subscription_id", "GET /api/tickets": "ticket_id", "GET /api/flags": "flag_id",
    "GET /api/cards/": "id",
}  # fmt: skip


def known(label: str) -> dict[str, list[str]]:
    """Ids of what is there and of what is not, by parameter of an operation."""
    found = {name: make() for name, make in MADE.items() if f"{{{name}}}" in label}
    if "{approval_id}" in label:
        found["approval_id"] = approvals(found["subscription_id"][0])
    if label in LISTED:
        MADE[LISTED[label]]()
    return found


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["right", "wrong"])
@pytest.mark.parametrize("label", sorted(TESTED))
def test_it_keeps_to_its_description(label: str, mode: GenerationMode, settings: Any) -> None:
    settings.RATE_LIMITS = {name: "1000000/minute" for name in settings.RATE_LIMITS}
    answers = _ask(operations(mode)[label], mode, known(label), _credentials(label))
    if mode is GenerationMode.POSITIVE:
        assert answers.keys() & {200, 201, 202, 204, 404, 409}, answers  # something got through to what is tested


def _credentials(label: str) -> str:
    """A token; where tokens are made, name and password."""
    user = person(Role.ADMINISTRATOR)
    if label == "POST /api/tokens":
        return "Basic " + b64encode(f"{user.username}:{PASSWORD}".encode()).decode()
    return "Bearer " + tokens.issue(user=user, name="t", days=1, now=timezone.now())[1]


def _ask(operation: Any, mode: GenerationMode, ids: dict[str, list[str]], credentials: str) -> Counter[int]:
    headers = {"Authorization": credentials}
    answers: Counter[int] = Counter()
    chosen = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in ids.items()})

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode), path=chosen, looked=st.booleans())
    def ask(case: Any, path: dict[str, str], looked: bool) -> None:
        if mode is GenerationMode.POSITIVE:
            case.path_parameters = {name: path[name] for name in case.path_parameters or {}}
            _saw_one_version(case, first=looked)
        response = case.call(headers=headers)
        case.validate_response(response, headers=headers)
        answers[response.status_code] += 1

    ask()
    return answers


def _saw_one_version(case: Any, *, first: bool) -> None:
    """Let a request name one version, not two that differ; most often that of rows which nobody changed yet."""
    body = case.body if isinstance(case.body, dict) else {}
    if first and "seen_version" in body:
        body["seen_version"] = 1
        if "action" in body:
            body["action"] = "note-down"  # the one that the cards offer
    if "If-Match" in case.headers and (first or "seen_version" in body):
        case.headers["If-Match"] = f'"{body.get("seen_version", 1)}"'
