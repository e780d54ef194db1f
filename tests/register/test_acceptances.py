"""Accepting risks: by somebody else, bound to what was seen, outdated by a change, announced, and ended on its day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from apps.core.decisions import system
from apps.core.models import Decision, Notification, User
from apps.core.roles import Role
from apps.register import acceptances, risks
from apps.register.acceptances import as_seen, digest
from apps.register.models import Acceptance, Risk
from apps.register.refusals import (
    AcceptanceOutdated,
    MissingInformation,
    NotAllowed,
    NotFound,
    OwnRequest,
    RiskChanged,
    WrongState,
)
from tests.core.factories import ScopeFactory, person
from tests.register.factories import NOON, TESTS, a_category, a_risk, a_scored_risk, an_assessment, score

pytestmark = pytest.mark.django_db
END = date(2026, 6, 1)


def request(risk: Risk, actor: User, **facts: Any) -> Acceptance:
    given = {"seen_version": risk.version, "reason": "Cheaper than the cure.", "expires_on": END, "now": NOON}
    return acceptances.request(risk_id=risk.pk, actor=actor, **{**given, **facts})


def decide(acceptance: Acceptance, actor: User, what: str = "approve", **facts: Any) -> Acceptance:
    chosen: Callable[..., Acceptance] = getattr(acceptances, what)
    return chosen(**{"acceptance_id": acceptance.pk, "actor": actor, "now": NOON, "reason": "Agreed.", **facts})


def accepted(risk: Risk | None = None, **facts: Any) -> Acceptance:
    risk = risk or a_scored_risk(owner=person(Role.SUPPORT_MANAGER))
    return decide(request(risk, person(Role.RISK_MANAGER), **facts), person(Role.RISK_MANAGER))


def edit(risk: Risk, **changes: Any) -> Risk:
    version = Risk.objects.get(pk=risk.pk).version
    return risks.edit_risk(risk_id=risk.pk, seen_version=version, changes=changes, actor=TESTS, now=NOON)


def actions() -> list[str]:
    return list(
        Decision.objects.filter(action__startswith="acceptance").order_by("seq").values_list("action", flat=True)
    )


def test_an_owner_asks_and_a_risk_manager_accepts() -> None:
    owner, manager = person(Role.TEAM_LEAD), person(Role.RISK_MANAGER)
    risk = a_scored_risk(owner=owner)
    asked = request(risk, owner)
    assert Notification.objects.filter(recipient=manager, title__startswith="Acceptance asked for").exists()
    held = decide(asked, manager)
    risk.refresh_from_db()
    assert (held.state, risk.status, held.expires_on) == ("approved", "accepted", END)
    assert Notification.objects.filter(recipient=owner, title__startswith="Risk accepted").exists()
    assert actions() == ["acceptance_requested", "acceptance_approved"]


@pytest.mark.parametrize("role", [role for role in Role if role not in {Role.RISK_MANAGER, Role.ADMINISTRATOR}])
@pytest.mark.parametrize("what", ["approve", "reject"])
def test_only_those_who_may_decide_do(what: str, role: Role) -> None:
    asked = request(a_risk(), person(Role.RISK_MANAGER))
    with pytest.raises(NotAllowed):
        decide(asked, person(role), what)
    asked.refresh_from_db()
    assert asked.state == "requested"


@pytest.mark.parametrize("what", ["approve", "reject"])
def test_nobody_decides_on_the_own_request(what: str) -> None:
    manager = person(Role.RISK_MANAGER)
    with pytest.raises(OwnRequest):
        decide(request(a_risk(), manager), manager, what)


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.SUPPORT_AGENT, Role.OPERATOR, Role.CONTENT_OWNER])
def test_who_only_reads_does_not_ask_even_for_the_own(role: Role) -> None:
    reader = person(role)
    with pytest.raises(NotAllowed):
        request(a_risk(owner=reader), reader)


def test_nobody_asks_for_others_risks_or_those_out_of_sight() -> None:
    manager = person(Role.SUPPORT_MANAGER)
    with pytest.raises(NotAllowed):
        request(a_risk(), manager)
    with pytest.raises(NotFound):
        request(a_risk(scope=ScopeFactory()), manager)


@pytest.mark.parametrize(
    "facts",
    [
        {"reason": " "},
        {"expires_on": NOON.date()},
        {"expires_on": date(2025, 1, 1)},
        {"expires_on": NOON.date() + timedelta(days=367)},
    ],
)
def test_a_request_needs_a_reason_and_a_day_to_come(facts: dict[str, Any]) -> None:
    with pytest.raises(MissingInformation):
        request(a_risk(), person(Role.RISK_MANAGER), **facts)


def test_a_request_is_bound_to_the_version_that_was_seen() -> None:
    risk = a_risk()
    edit(risk, cause="Dust")
    with pytest.raises(RiskChanged):
        request(risk, person(Role.RISK_MANAGER))


def test_one_request_is_open_at_a_time_and_the_same_click_is_one() -> None:
    manager, risk = person(Role.RISK_MANAGER), a_risk()
    assert request(risk, manager) == request(risk, manager)
    with pytest.raises(WrongState):
        request(risk, manager, reason="Another.")
    risks.close(risk_id=risk.pk, seen_version=risk.version, reason="Gone.", actor=TESTS, now=NOON)
    assert Acceptance.objects.get().state == "withdrawn"
    with pytest.raises(WrongState):
        request(Risk.objects.get(pk=risk.pk), manager)


def test_a_decision_made_twice_is_one() -> None:
    manager = person(Role.RISK_MANAGER)
    asked = request(a_risk(), person(Role.RISK_MANAGER))
    assert decide(asked, manager) == decide(asked, manager)
    assert actions().count("acceptance_approved") == 1
    with pytest.raises(WrongState):
        decide(asked, manager, "reject")


def test_a_rejection_says_why_and_leaves_the_risk_open() -> None:
    risk = a_risk()
    asked = request(risk, person(Role.RISK_MANAGER))
    with pytest.raises(MissingInformation):
        decide(asked, person(Role.RISK_MANAGER), "reject", reason="")
    assert decide(asked, person(Role.RISK_MANAGER), "reject").ended_at == NOON
    risk.refresh_from_db()
    assert risk.status == "open"


def test_a_requester_takes_it_back_and_strangers_do_not() -> None:
    owner = person(Role.TEAM_LEAD)
    risk = a_risk(owner=owner)
    held = decide(request(risk, owner), person(Role.RISK_MANAGER))
    with pytest.raises(NotAllowed):
        decide(held, person(Role.SUPPORT_DIRECTOR), "withdraw")
    assert decide(held, owner, "withdraw").state == "withdrawn"
    risk.refresh_from_db()
    assert risk.status == "open"


CHANGES: dict[str, Callable[[Risk], object]] = {
    "title": lambda risk: edit(risk, title="Fire"),
    "category": lambda risk: edit(risk, category=a_category("Fire")),
    "owner": lambda risk: edit(risk, owner=person(Role.TEAM_LEAD)),
    "treatment": lambda risk: edit(risk, treatment="avoid"),
    "score": lambda risk: score(risk, 3, 3),
    "residual score": lambda risk: score(risk, 1, 1, "residual"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_ends_what_was_asked_and_what_was_accepted(change: Callable[[Risk], object]) -> None:
    risk, other = a_scored_risk(), a_scored_risk()
    asked, held = request(risk, person(Role.RISK_MANAGER)), accepted(other)
    for one in (risk, other):
        change(one)
        one.refresh_from_db()
        assert one.status == "open"
    for acceptance in (asked, held):
        acceptance.refresh_from_db()
        assert (acceptance.state, acceptance.expires_on) == ("outdated", END)
        assert Notification.objects.filter(
            recipient=acceptance.requested_by, title__startswith="Acceptance outdated"
        ).exists()
    assert actions().count("acceptance_outdated") == 2
    words = Decision.objects.filter(action="acceptance_outdated").latest("seq").text.rationale
    assert "became" in words


@pytest.mark.parametrize("changes", [{"proximity": "now"}, {"position": 3}, {"evidence": [{"kind": "note"}]}])
def test_what_it_is_not_bound_to_may_change(changes: dict[str, Any]) -> None:
    held = accepted()
    edit(held.risk, **changes)
    held.refresh_from_db()
    assert held.state == "approved"


def test_a_change_past_the_services_is_found_when_it_is_decided() -> None:
    risk = a_scored_risk()
    asked = request(risk, person(Role.RISK_MANAGER))
    Risk.objects.filter(pk=risk.pk).update(consequence="The house burns down", owner=person(Role.TEAM_LEAD))
    with pytest.raises(AcceptanceOutdated) as refused:
        decide(asked, person(Role.RISK_MANAGER))
    told = {one.field: one.now for one in refused.value.differences}
    assert told["Consequence"] == "The house burns down"
    assert set(told) == {"Consequence", "Owner"}
    again = request(Risk.objects.get(pk=risk.pk), person(Role.RISK_MANAGER), reason="Anew.")
    asked.refresh_from_db()
    assert (asked.state, again.state) == ("outdated", "requested")


def test_a_page_that_showed_another_request_does_not_decide_this_one() -> None:
    asked = request(a_risk(), person(Role.RISK_MANAGER))
    with pytest.raises(AcceptanceOutdated):
        decide(asked, person(Role.RISK_MANAGER), seen_digest="0" * 64)
    assert decide(asked, person(Role.RISK_MANAGER), seen_digest=asked.digest).state == "approved"


def test_a_request_whose_day_has_come_is_not_approved() -> None:
    asked = request(a_risk(), person(Role.RISK_MANAGER), expires_on=NOON.date() + timedelta(days=1))
    with pytest.raises(WrongState):
        decide(asked, person(Role.RISK_MANAGER), now=NOON + timedelta(days=1))


def test_it_is_announced_and_ends_on_its_day_and_no_date_is_changed() -> None:
    held = accepted(expires_on=NOON.date() + timedelta(days=30))
    owner = held.risk.owner
    told: list[tuple[int, str]] = []
    for day in range(35):
        before = set(Notification.objects.filter(recipient=owner).values_list("pk", flat=True))
        acceptances.end_acceptances(now=NOON + timedelta(days=day))
        news = Notification.objects.filter(recipient=owner).exclude(pk__in=before)
        told += [(day, one.title.partition(":")[0]) for one in news]
        acceptances.end_acceptances(now=NOON + timedelta(days=day))
    assert told == [(16, "Acceptance ends in 14 days"), (27, "Acceptance ends in 3 days"), (30, "Acceptance ended")]
    held.refresh_from_db()
    assert (held.state, held.expires_on) == ("expired", NOON.date() + timedelta(days=30))
    assert Risk.objects.get(pk=held.risk_id).status == "open"
    ended = Decision.objects.get(action="acceptance_expired")
    assert ended.actor_label == system("register")


def test_days_that_the_job_missed_are_made_up_for() -> None:
    held = accepted(expires_on=NOON.date() + timedelta(days=30))
    acceptances.end_acceptances(now=NOON + timedelta(days=28))
    owner = held.risk.owner
    assert Notification.objects.filter(recipient=owner, title__startswith="Acceptance ends in 2 days").count() == 1
    assert acceptances.end_acceptances(now=NOON + timedelta(days=90)) == 1
    assert acceptances.end_acceptances(now=NOON + timedelta(days=91)) == 0


def test_a_request_that_nobody_decided_ends_too() -> None:
    risk = a_risk()
    request(risk, person(Role.RISK_MANAGER), expires_on=NOON.date() + timedelta(days=1))
    assert acceptances.end_acceptances(now=NOON + timedelta(days=1)) == 1
    assert Acceptance.objects.get().state == "expired"
    assert Risk.objects.get(pk=risk.pk).status == "open"


STEPS = st.one_of(
    st.tuples(st.just("title"), st.sampled_from(["Sparks", "Fire", "Flood"])),
    st.tuples(st.just("treatment"), st.sampled_from(["mitigate", "accept", "avoid"])),
    st.tuples(st.just("proximity"), st.sampled_from(["", "now", "later"])),
    st.tuples(st.just("score"), st.tuples(st.integers(1, 3), st.integers(1, 3))),
    st.tuples(st.just("job"), st.integers(0, 40)),
)


class TestBinding(TestCase):  # type: ignore[misc]
    @settings(max_examples=40, deadline=None)
    @given(st.lists(STEPS, max_size=6))
    def test_an_acceptance_that_holds_is_of_the_risk_as_it_was_seen(self, steps: list[tuple[str, Any]]) -> None:
        risk = a_scored_risk(assessment=an_assessment())
        held = accepted(risk, expires_on=NOON.date() + timedelta(days=20))
        last = 0
        for what, value in steps:
            if what == "score":
                score(risk, *value)
            elif what == "job":
                last = max(last, value)
                acceptances.end_acceptances(now=NOON + timedelta(days=value))
            else:
                edit(risk, **{what: value})
            held.refresh_from_db()
            risk.refresh_from_db()
            holds = held.state == "approved"
            assert holds == (risk.status == "accepted")
            assert not holds or digest(as_seen(Risk.objects.get(pk=risk.pk))) == held.digest
            assert not holds or last < 20
            assert held.expires_on == NOON.date() + timedelta(days=20)
