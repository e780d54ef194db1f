"""No raw secret that somebody types into a flag, ticket or review reaches a row, a log line or a notification."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog
from django.apps import apps
from django.core import mail
from django.test import Client
from rest_framework.test import APIClient

from apps.core import notifications
from apps.core.models import Scope, User
from apps.core.roles import Role
from apps.escalation import flags, levels, reviews, ticket_moves, tickets
from apps.escalation.models import FlagEvent, Review, ReviewItem, RiskFlag
from tests.core.factories import ScopeFactory, person
from tests.escalation.desk import made
from tests.escalation.factories import NOON, TO_RISK, raised, staff

pytestmark = pytest.mark.django_db

CARD, PASSWORD, IBAN = "4111 1111 1111 1111", "hunter2secret", "DE89 3704 0044 0532 0130 00"
SECRET = f"card {CARD}, my password is {PASSWORD}, pay to {IBAN}"
TEXTS = ("description", "affected_customers", "frequency", "impact", "containment", "communications")


def everything() -> Iterator[str]:
    """All that the database holds, row by row."""
    for model in apps.get_models():
        for row in model._default_manager.all().values_list():
            yield f"{model.__name__}: {row}"


def leaks() -> list[str]:
    """Rows with a raw secret."""
    return [row for row in everything() if any(one in row for one in (CARD, PASSWORD, IBAN))]


@pytest.fixture
def store() -> Scope:
    return ScopeFactory()


@pytest.fixture
def people(store: Scope) -> dict[Role, User]:
    return staff(store)


@pytest.fixture(autouse=True)
def nothing_leaks() -> Iterator[None]:
    """After each test: neither rows nor mails nor what was logged hold a secret."""
    with structlog.testing.capture_logs() as logged:
        yield
    assert leaks() == []
    while notifications.deliver_one(now=NOON):
        pass
    told = [f"{one.subject} {one.body}" for one in mail.outbox] + [str(line) for line in logged]
    assert [one for one in told if any(secret in one for secret in (CARD, PASSWORD, IBAN))] == []


def test_every_text_of_a_raised_flag_is_redacted(people: dict[Role, User], store: Scope) -> None:
    flag = raised(
        title=SECRET, scope=store, level=5, raised_by=people[Role.SUPPORT_AGENT], **dict.fromkeys(TEXTS, SECRET)
    )
    assert flag.title == "card [card number], my password is [password], pay to [bank account]"
    for name in TEXTS:
        assert getattr(flag, name) == flag.title
    first = FlagEvent.objects.get(flag=flag, kind="raised")
    assert {one["kind"]: one["count"] for one in first.data["masked"]} == {"card": 7, "password": 7, "bank_account": 7}


def test_customers_stay_reachable(store: Scope) -> None:
    flag = raised(affected_customers="joe@example.com, +49 30 901820", description="mail joe@example.com", scope=store)
    assert flag.affected_customers == "joe@example.com, +49 30 901820"
    assert flag.description == "mail [e-mail address]"


def test_a_text_without_secrets_says_nothing_of_masks(store: Scope) -> None:
    flag = raised(description="Order #1001 of 2026-03-02, 19.99 EUR, waits", scope=store)
    assert flag.description == "Order #1001 of 2026-03-02, 19.99 EUR, waits"
    assert "masked" not in FlagEvent.objects.get(flag=flag, kind="raised").data


def test_corrections_are_redacted(people: dict[Role, User], store: Scope) -> None:
    flag = raised(scope=store, raised_by=people[Role.SUPPORT_AGENT])
    changed = flags.edit(
        flag_id=flag.pk, seen_version=1, actor=people[Role.SUPPORT_AGENT], now=NOON, fields=dict.fromkeys(TEXTS, SECRET)
    )
    assert "[card number]" in changed.impact
    again = flags.edit(
        flag_id=flag.pk, seen_version=2, actor=people[Role.SUPPORT_AGENT], now=NOON, fields={"impact": SECRET}
    )
    assert again.version == 2  # the same text again changes nothing


def test_a_reference_is_no_place_for_a_text(people: dict[Role, User], store: Scope) -> None:
    flag = raised(scope=store)
    for wrong in (f"card: {CARD}", f"password:{PASSWORD} {CARD}", "no colon", "", 7):
        with pytest.raises(flags.MissingInformation):
            flags.edit(
                flag_id=flag.pk, seen_version=1, actor=people[Role.TEAM_LEAD], now=NOON, fields={"references": [wrong]}
            )


def test_steps_levels_notes_and_feedback_are_redacted(people: dict[Role, User], store: Scope) -> None:
    flag, lead = raised(scope=store), people[Role.TEAM_LEAD]
    flags.add_note(flag_id=flag.pk, actor=people[Role.SUPPORT_AGENT], text=SECRET, now=NOON)
    flags.feedback(flag_id=flag.pk, actor=lead, useful=False, comment=SECRET, now=NOON)
    flags.move(flag_id=flag.pk, seen_version=1, transition="to_manager", actor=lead, now=NOON, reason=SECRET)
    flags.change_level(flag_id=flag.pk, seen_version=2, level=4, reason=SECRET, actor=lead, now=NOON)
    kinds = FlagEvent.objects.filter(flag=flag, text__contains="[card number]").values_list("kind", flat=True)
    assert set(kinds) == {"note", "feedback", "step", "level"}


@pytest.mark.parametrize("on_the_way", [True, False])
def test_handovers_are_redacted_with_what_the_register_gets(
    people: dict[Role, User], store: Scope, on_the_way: bool
) -> None:
    flag = raised(scope=store, level=4, description=SECRET)
    facts = dict.fromkeys(TO_RISK, SECRET)
    flags.move(
        flag_id=flag.pk, seen_version=1, transition="confirm", actor=people[Role.TEAM_LEAD], now=NOON,
        fields=facts if on_the_way else TO_RISK,
    )  # fmt: skip
    if not on_the_way:
        flags.handover(flag_id=flag.pk, direction="to_risk", fields=facts, actor=people[Role.TEAM_LEAD], now=NOON)
    told = flag.handovers.order_by("-pk").first()
    assert told is not None
    assert set(told.fields.values()) == {"card [card number], my password is [password], pay to [bank account]"}
    assert set(told.fields) == {one.name for one in levels.delivered().to_risk}


def test_the_api_keeps_nothing_raw(people: dict[Role, User], store: Scope) -> None:
    api = APIClient()
    api.force_authenticate(people[Role.TEAM_LEAD])
    body = {"title": SECRET, "level": 3, "scope": store.slug, **dict.fromkeys(TEXTS, SECRET)}
    made_flag = api.post("/api/flags", body, format="json", headers={"Idempotency-Key": "one"})
    assert made_flag.status_code == 201
    url = f"/api/flags/{made_flag.json()['id']}"
    assert api.post(f"{url}/note", {"text": SECRET}, format="json").status_code == 200
    level = {"seen_version": 1, "level": 4, "reason": SECRET}
    assert api.post(f"{url}/level", level, format="json").status_code == 200
    step = {"seen_version": 2, "transition": "confirm", "information": dict.fromkeys(TO_RISK, SECRET)}
    assert api.post(f"{url}/transition", step, format="json").status_code == 200


def test_the_form_says_what_was_masked(client: Client, people: dict[Role, User]) -> None:
    client.force_login(people[Role.SUPPORT_AGENT])
    url = "/admin/escalation/riskflag/raise/"
    source = client.get(url).context["form"].initial["source"]
    answer = client.post(url, {"source": source, "title": "Leak", "level": "3", "description": SECRET}, follow=True)
    page = answer.content.decode()
    assert "Masked before it was kept: 1 × card number, 1 × password, 1 × bank account." in page
    assert CARD not in page
    assert RiskFlag.objects.get(title="Leak").description.startswith("card [card number]")


def test_reasons_and_texts_of_tickets_are_redacted(people: dict[Role, User], store: Scope) -> None:
    agent = people[Role.SUPPORT_AGENT]
    one = made(scope=store, subject=SECRET, summary=SECRET, message=SECRET, requester_name=SECRET)
    facts = {"ticket_id": one.pk, "actor": agent, "now": NOON}
    tickets.note(**facts, text=SECRET)
    one.refresh_from_db()
    one = ticket_moves.assign(**facts, seen_version=one.version, assignee=agent, reason=SECRET)
    one = ticket_moves.wait(**facts, seen_version=one.version, reason=SECRET)
    one = ticket_moves.resume(**facts, seen_version=one.version, reason=SECRET)
    one = ticket_moves.resolve(**facts, seen_version=one.version, reason=SECRET)
    one = ticket_moves.reopen(**facts, seen_version=one.version, reason=SECRET)
    other = made(scope=store)
    ticket_moves.merge(**facts, seen_version=one.version, into_id=other.pk, reason=SECRET)
    assert one.events.filter(reason__contains="[card number]").count() >= 5


def test_minutes_are_redacted(people: dict[Role, User], store: Scope) -> None:
    raised(scope=store, level=2)
    lead = person(Role.RISK_MANAGER)
    reviews.plan(now=NOON)
    review = Review.objects.get(kind="weekly")
    reviews.begin(review_id=review.pk, actor=lead, now=NOON)
    for item in ReviewItem.objects.filter(review=review):
        reviews.decide(
            item_id=item.pk, decision=SECRET, next_action=SECRET, owner=lead, due_on=NOON.date(), actor=lead, now=NOON
        )
    done = reviews.complete(review_id=review.pk, notes=SECRET, actor=lead, now=NOON)
    assert done.notes.startswith("card [card number]")
