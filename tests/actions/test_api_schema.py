"""The API does what its schema says, whatever it is asked: requests generated from the schema."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import checks

from apps.actions.models import ActionCard, Execution
from apps.core.roles import Role
from tests.actions.factories import NOW, CardFactory, example_executor, example_rule
from tests.core.factories import person

pytestmark = pytest.mark.django_db

TOKEN = "a" * 32
CHECKS = [
    checks.not_a_server_error,
    *[
        check
        for check in checks.CHECKS.get_all()
        if check.__name__ in ("status_code_conformance", "content_type_conformance", "response_schema_conformance")
    ],
]


@pytest.fixture(autouse=True)
def _one_connection() -> Iterator[None]:
    """Requests stay in the test's transaction, as with Django's own client."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def document() -> dict[str, Any]:
    found: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return found


@cache
def operations() -> tuple[Any, ...]:
    schema = schemathesis.openapi.from_dict(document())
    return tuple(found.ok() for found in schema.get_all_operations())


@pytest.fixture
def cards() -> Iterator[list[ActionCard]]:
    """A card in each state."""
    with example_rule(), example_executor():
        actor = person(Role.OPERATOR)
        made = [CardFactory(status=status) for status in ActionCard.Status.values]
        for card in made:
            if card.status in ("failed", "executed"):
                done = "failed" if card.status == "failed" else "succeeded"
                Execution.objects.create(card=card, action="note-down", status=done, requested_by=actor, created_at=NOW)
        yield made


def test_it_is_generated_from_every_address() -> None:
    assert sum(operation.path.startswith("/api/cards/") for operation in operations()) == 8


@pytest.mark.parametrize("label", ["GET /api/cards/", *[f"{verb} /api/cards/{{id}}/{name}" for verb, name in [
    ("GET", ""), ("POST", "approve/"), ("POST", "dismiss/"), ("POST", "escalate/"), ("POST", "note/"),
    ("POST", "retry/"), ("POST", "roll-back/"),
]]])  # fmt: skip
def test_it_does_what_the_schema_says(label: str, cards: list[ActionCard], settings: Any) -> None:
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"api_user": "100000/minute"}
    browser = Client()
    browser.force_login(person(Role.OPERATOR))
    browser.cookies["csrftoken"] = TOKEN
    cookies = {name: morsel.value for name, morsel in browser.cookies.items()}
    operation = next(found for found in operations() if found.label == label)
    application = get_wsgi_application()

    answers = _ask(operation, application, cards, cookies)
    assert answers[400] + answers[404] + answers[405] < answers.total()  # something got through to what is tested


def _ask(operation: Any, application: Any, cards: list[ActionCard], cookies: dict[str, str]) -> Counter[int]:
    answers: Counter[int] = Counter()
    ids = st.sampled_from([*[card.pk for card in cards], 10**17])

    @settings(
        max_examples=25, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(), pk=ids, sensible=st.booleans())
    def ask(case: Any, pk: int, sensible: bool) -> None:
        if "id" in (case.path_parameters or {}):
            case.path_parameters["id"] = str(pk)
        case.cookies = {}
        if sensible and isinstance(case.body, dict):
            case.headers.clear()
            case.body = {**case.body, "seen_version": 1, "action": "note-down"}
        response = case.call(app=application, cookies=cookies, headers={"X-CSRFToken": TOKEN})
        case.validate_response(response, checks=CHECKS)
        answers[response.status_code] += 1

    ask()
    return answers
