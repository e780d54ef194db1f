"""The board, the flag's page, raising, and each step as a page bound to the version that was shown."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from apps.core.models import Scope
from apps.core.roles import Role
from apps.escalation.ladder import TRANSITIONS
from apps.escalation.models import Clock, RiskFlag, TicketLink
from apps.escalation.templatetags.ladder import BOXES, ways_shown
from tests.core.factories import ScopeFactory, person
from tests.escalation.factories import TO_RISK, raised, ticket

pytestmark = pytest.mark.django_db

BOARD = "/admin/escalation/riskflag/board/"
RAISE = "/admin/escalation/riskflag/raise/"


@pytest.fixture
def store() -> Scope:
    return ScopeFactory()


def as_(client: Client, role: Role, *scopes: Scope) -> Client:
    client.force_login(person(role, *scopes))
    return client


def step_url(flag: RiskFlag, page: str) -> str:
    return f"/admin/escalation/riskflag/{flag.pk}/{page}/"


def test_the_board_groups_by_step_and_says_how_much_time_is_left(client: Client, store: Scope) -> None:
    late, soon = raised(title="late", level=3, scope=store), raised(title="soon", level=5, now=timezone.now())
    raised(title="foreign", scope=ScopeFactory())
    answer = as_(client, Role.TEAM_LEAD, store).get(BOARD)
    groups = {group["step"]: [line.flag for line in group["lines"]] for group in answer.context["groups"]}
    assert groups == {"lead_review": [late], "escalated": [soon]}
    page = answer.content.decode()
    assert "overdue by" in page
    assert "min left" in page
    assert "foreign" not in page
    assert answer.context["counts"] == {"lead_review": (1, 1), "escalated": (1, 0)}


def test_what_is_due_first_stands_first(client: Client) -> None:
    now = timezone.now()
    later, first = raised(level=4, now=now), raised(level=5, now=now)
    answer = as_(client, Role.RISK_MANAGER).get(BOARD)
    assert [line.flag for line in answer.context["groups"][0]["lines"]] == [first, later]


def test_an_empty_board_says_so(client: Client) -> None:
    assert "No flag is open" in as_(client, Role.TEAM_LEAD).get(BOARD).content.decode()


def test_the_drawing_has_every_way_of_the_ladder() -> None:
    ends = {"closed", "rejected"}
    ladder = {
        (way.source.value, way.target.value)
        for way in TRANSITIONS
        if way.target and way.name not in ("reject", "send_back") and way.source not in ("proposed", way.target)
    }
    drawn = {(str(source), str(target)) for source, target in ways_shown() if source != "raised"}
    assert ladder == drawn
    assert set(BOXES) - {"raised"} == {step.value for step in RiskFlag.Step} - {"proposed"}
    assert ends <= set(BOXES)


def test_a_flag_shows_why_its_deadline_is_what_it_is(client: Client, store: Scope) -> None:
    flag = raised(level=3, scope=store)
    page = as_(client, Role.TEAM_LEAD, store).get(step_url(flag, "change")).content.decode()
    clock = Clock.objects.get(flag=flag, target=Clock.Target.STEP)
    assert "Why this deadline" in page
    assert clock.trace[0]["text"] in page
    assert "On to the manager" in page
    assert "here now" in page


def test_a_step_is_taken_with_its_reason_and_refused_without(client: Client, store: Scope) -> None:
    flag = raised(level=3, scope=store)
    lead, url = as_(client, Role.TEAM_LEAD, store), step_url(flag, "move/to_manager")
    assert "Manager review" in lead.get(url).content.decode()
    assert lead.post(url, {"seen": 1, "reason": " "}).status_code == 400
    assert lead.post(url, {"seen": 1, "reason": "Two shops have it."}).status_code == 302
    flag.refresh_from_db()
    assert flag.step == RiskFlag.Step.MANAGER_REVIEW


def test_a_second_click_does_nothing_more(client: Client, store: Scope) -> None:
    flag = raised(level=3, scope=store)
    lead, url = as_(client, Role.TEAM_LEAD, store), step_url(flag, "move/to_manager")
    answers = [lead.post(url, {"seen": 1, "reason": "Two shops have it."}).status_code for _ in range(2)]
    flag.refresh_from_db()
    assert (answers, flag.version) == ([302, 302], 2)


def test_who_saw_an_older_version_decides_again_with_what_was_typed(client: Client, store: Scope) -> None:
    flag = raised(level=3, scope=store)
    RiskFlag.objects.filter(pk=flag.pk).update(version=4)
    answer = as_(client, Role.TEAM_LEAD, store).post(
        step_url(flag, "move/to_manager"), {"seen": 1, "reason": "Because."}
    )
    page = answer.content.decode()
    assert (answer.status_code, "flag_changed" in page, "Because." in page) == (409, True, True)
    assert 'name="seen" value="4"' in page


def test_a_handover_needs_every_field_of_its_list(client: Client, store: Scope) -> None:
    flag = raised(level=4, scope=store)
    lead, url = as_(client, Role.TEAM_LEAD, store), step_url(flag, "move/confirm")
    assert lead.post(url, {"seen": 1, **TO_RISK, "impact": ""}).status_code == 400
    assert lead.post(url, {"seen": 1, **TO_RISK}).status_code == 302
    flag.refresh_from_db()
    assert flag.step == RiskFlag.Step.RISK_MANAGEMENT
    page = lead.get(step_url(flag, "change")).content.decode()
    assert "about impact" in page
    assert "recorded as R-" in page


@pytest.mark.parametrize(
    ("role", "status"),
    [
        (Role.SUPPORT_AGENT, 403),
        (Role.TEAM_LEAD, 403),
        (Role.SUPPORT_MANAGER, 200),
        (Role.RISK_MANAGER, 403),
        (Role.AUDITOR, 403),
        (Role.ADMINISTRATOR, 200),
    ],
)
def test_the_managers_review_is_the_managers(client: Client, store: Scope, role: Role, status: int) -> None:
    flag = raised(level=3, scope=store)
    RiskFlag.objects.filter(pk=flag.pk).update(step="manager_review")
    assert as_(client, role, store).get(step_url(flag, "move/confirm")).status_code == status


def test_a_way_that_does_not_begin_here_is_refused_in_words(client: Client, store: Scope) -> None:
    answer = as_(client, Role.TEAM_LEAD, store).get(step_url(raised(scope=store), "move/verify"))
    assert (answer.status_code, "unknown_transition" in answer.content.decode()) == (409, True)


def test_another_level_with_a_reason(client: Client, store: Scope) -> None:
    flag = raised(level=2, scope=store)
    as_(client, Role.TEAM_LEAD, store).post(step_url(flag, "level"), {"seen": 1, "level": 5, "reason": "It spreads."})
    flag.refresh_from_db()
    assert (flag.level, flag.step) == (5, RiskFlag.Step.ESCALATED)


def test_acknowledging_is_one_click(client: Client, store: Scope) -> None:
    flag = raised(level=5, scope=store, now=timezone.now())
    lead = as_(client, Role.TEAM_LEAD, store)
    assert "I have it in hand" in lead.get(step_url(flag, "change")).content.decode()
    assert lead.get(step_url(flag, "acknowledge")).status_code == 405
    assert lead.post(step_url(flag, "acknowledge")).status_code == 302
    assert "I have it in hand" not in lead.get(step_url(flag, "change")).content.decode()


def test_who_had_it_on_an_earlier_rung_is_not_said_to_have_it_now(client: Client, store: Scope) -> None:
    lead = person(Role.TEAM_LEAD, store)
    flag = raised(level=5, scope=store, now=timezone.now())
    RiskFlag.objects.filter(pk=flag.pk).update(assignee=lead)
    client.force_login(person(Role.SUPPORT_AGENT, store))
    page = client.get(step_url(flag, "change")).content.decode()
    assert "I have it in hand" not in page
    assert "Nobody on this rung yet" in page


def test_notes_feedback_and_corrections(client: Client, store: Scope) -> None:
    flag = raised(scope=store)
    lead = as_(client, Role.TEAM_LEAD, store)
    lead.post(step_url(flag, "note"), {"text": "Called the carrier."})
    lead.post(step_url(flag, "feedback"), {"useful": "no", "missing_fields": ["impact"], "comment": "How bad is it?"})
    kept = {"seen": 1, "title": flag.title, "description": flag.description, "indicator": "", "affected_count": 7}
    assert lead.post(step_url(flag, "edit"), kept).status_code == 302
    page = lead.get(step_url(flag, "change")).content.decode()
    for words in ("Called the carrier.", "Not useful", "How bad is it?", "Changed: Affected customers"):
        assert words in page


def test_from_a_ticket_it_is_two_clicks(client: Client, store: Scope) -> None:
    one = ticket(scope=store, subject="My data is online", summary="Found by a search engine", requester_name="Ada")
    agent = as_(client, Role.SUPPORT_AGENT, store)
    form = agent.get(f"{RAISE}?source=ticket:{one.pk}")
    given = {name: value for name, value in form.context["form"].initial.items() if value is not None}
    answer = agent.post(RAISE, {**given, "level": 4})
    flag = RiskFlag.objects.get()
    assert answer["Location"] == step_url(flag, "change")
    assert (flag.title, flag.scope, flag.level, flag.references) == (one.subject, store, 4, [f"ticket:{one.pk}"])
    assert TicketLink.objects.get().target == f"risk_flag:{flag.pk}"
    assert agent.get(f"{RAISE}?source=ticket:{one.pk}")["Location"] == step_url(flag, "change")


def test_by_hand_a_second_click_raises_nothing_more(client: Client, store: Scope) -> None:
    agent = as_(client, Role.SUPPORT_AGENT, store)
    source = agent.get(RAISE).context["form"].initial["source"]
    given = {"source": source, "level": 2, "title": "t", "description": "d", "scope": store.pk}
    assert [agent.post(RAISE, given).status_code for _ in range(2)] == [302, 302]
    assert RiskFlag.objects.get().scope == store


def test_nobody_raises_in_a_foreign_scope_or_from_a_foreign_ticket(client: Client, store: Scope) -> None:
    foreign = ScopeFactory()
    one = ticket(scope=foreign, subject="secret subject")
    agent = as_(client, Role.SUPPORT_AGENT, store)
    page = agent.get(f"{RAISE}?source=ticket:{one.pk}").content.decode()
    assert "secret subject" not in page
    assert "not yours to see. This flag will stand alone." in page
    assert "stand alone" not in agent.get(RAISE).content.decode()
    given = {"source": f"ticket:{one.pk}", "level": 2, "title": "t", "description": "d", "scope": foreign.pk}
    assert agent.post(RAISE, given).status_code == 400
    assert not RiskFlag.objects.exists()
