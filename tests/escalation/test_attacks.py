"""Attacks on the escalation: everything at once and again and again, wrong roles, and markup in every text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.test import Client

from apps.core.breaker import Breaker
from apps.core.errors import DomainError
from apps.core.models import Decision, Notification, User
from apps.core.roles import Role
from apps.escalation import flags, outgoing, proposals, tickets
from apps.escalation.binding import FlagChanged, NotAllowed, UnknownTransition
from apps.escalation.models import Clock, ClockEvent, Endpoint, FlagEvent, OutgoingNews, RiskFlag
from apps.escalation.signs import Finding
from apps.escalation.sweep import sweep
from tests.core.factories import UserFactory, person
from tests.escalation.desk import desk, made
from tests.escalation.factories import NOON, minutes, raised
from tests.support.faulty_server import answer, faulty_server
from tests.support.races import RUNS, at_once

EVIL = "<script>alert(1)</script>"


def failures(results: list[object], *expected: type[Exception]) -> list[object]:
    return [each for each in results if isinstance(each, Exception) and not isinstance(each, expected)]


@pytest.mark.django_db(transaction=True)
def test_sweeps_at_once_announce_once_and_never_after_somebody_has_it_in_hand() -> None:
    person(Role.SUPPORT_MANAGER)
    lead = person(Role.TEAM_LEAD)
    due = NOON + minutes(5)
    for run in range(RUNS):
        flag = raised(level=5)
        Notification.objects.all().delete()
        results = at_once(
            partial(sweep, now=due), partial(flags.acknowledge, flag_id=flag.pk, actor=lead, now=due),
            partial(sweep, now=due), partial(sweep, now=due + timedelta(seconds=1)),
        )  # fmt: skip
        assert failures(results) == [], run
        clock = Clock.objects.get(flag=flag, target="acknowledge")
        assert clock.status in ("met", "missed")  # in hand, within its time or after the sweep had come
        told = list(ClockEvent.objects.filter(clock=clock).values_list("kind", flat=True))
        assert told in (["start", "met"], ["start", "due", "met"])
        assert clock.rung == told.count("due") == Notification.objects.count()
        assert not sweep(now=NOON + minutes(12)).clocks
        Clock.objects.filter(flag=flag, status="running").update(next_deadline_at=None)


@pytest.mark.django_db(transaction=True)
def test_clocks_that_jump_while_several_sweep_skip_and_repeat_no_rung() -> None:
    for role in (Role.TEAM_LEAD, Role.SUPPORT_MANAGER, Role.SUPPORT_DIRECTOR, Role.RISK_MANAGER):
        person(role)
    for _ in range(RUNS // 5):
        flag = raised(level=5)
        clock = Clock.objects.get(flag=flag, target="acknowledge")
        jumps = [5, 1, 500, 3, 100_000, 5, 99_000, 100_004]
        for first, second in zip(jumps[::2], jumps[1::2], strict=True):
            results = at_once(*(partial(sweep, now=NOON + minutes(at)) for at in (first, second, first)))
            assert failures(results) == []
        rungs = list(ClockEvent.objects.filter(clock=clock).exclude(kind="start").values_list("data__rung", flat=True))
        assert rungs == list(range(1, len(rungs) + 1))
        clock.refresh_from_db()
        assert clock.rung == len(rungs)
        twice = Counter(Notification.objects.values_list("recipient", "dedupe_key")).most_common(1)
        assert twice[0][1] == 1
        Clock.objects.update(next_deadline_at=None)


@pytest.mark.django_db(transaction=True)
def test_of_transitions_at_once_exactly_one_is_taken() -> None:
    managers = [person(Role.SUPPORT_MANAGER) for _ in range(2)]
    for run in range(RUNS):
        flag = raised(level=5)
        facts: dict[str, Any] = {"flag_id": flag.pk, "seen_version": flag.version, "now": NOON}
        results = at_once(
            partial(flags.move, transition="reject", actor=managers[0], reason="None", **facts),
            partial(flags.move, transition="reject", actor=managers[1], reason="No", **facts),
            partial(flags.change_level, level=4, reason="Less", actor=managers[0], **facts),
        )
        assert failures(results, FlagChanged, UnknownTransition, NotAllowed) == [], run
        assert sum(isinstance(each, RiskFlag) for each in results) == 1
        assert FlagEvent.objects.filter(flag=flag, kind__in=["step", "level"]).count() == 1
        flag.refresh_from_db()
        open_clocks = Clock.objects.filter(flag=flag, status__in=["running", "paused"]).count()
        assert (flag.status == "resolved") is (open_clocks == 0)


@pytest.mark.django_db(transaction=True)
def test_a_proposal_that_is_confirmed_and_rejected_at_once_is_one_of_the_two() -> None:
    people = [person(Role.TEAM_LEAD) for _ in range(2)]
    for run in range(RUNS):
        finding = Finding(f"ticket:{run}", None, "A", ("B",), 3.0, 3, {"phrases": []}, affected_count=1)
        proposal = proposals.propose(indicator="data", finding=finding, now=NOON)
        assert proposal is not None
        facts: dict[str, Any] = {"proposal_id": proposal.pk, "seen_version": 1, "now": NOON}
        results = at_once(
            partial(proposals.confirm, actor=people[0], **facts),
            partial(proposals.reject, actor=people[1], reason="No", **facts),
            partial(proposals.confirm, actor=people[0], **facts),
        )
        assert failures(results, proposals.ProposalDecided) == [], run
        proposal.refresh_from_db()
        raised_flags = RiskFlag.objects.filter(source=f"proposal:{proposal.pk}").count()
        assert raised_flags == (proposal.status == "confirmed")
        decided = Decision.objects.filter(
            subject=f"proposal:{proposal.pk}", action__in=["proposal_confirmed", "proposal_rejected"]
        )
        assert decided.count() == 1


@pytest.mark.django_db(transaction=True)
def test_several_workers_deliver_each_piece_of_news_once(settings: Any) -> None:
    settings.DEBUG = settings.OUTGOING_PRIVATE_ADDRESSES = True
    with faulty_server(answer(200)) as server:
        endpoint = Endpoint.objects.create(name="Partner", url=server.url, secret="s")
        for run in range(RUNS):
            for number in range(2):
                outgoing.publish(outgoing.News("ticket.created", f"{run}:{number}", {}, NOON))
            results = at_once(*[partial(outgoing.deliver_one, now=lambda: NOON)] * 3)
            assert failures(results) == [], run
        ids = [request.headers["riskdesk-delivery"] for request in server.seen]
    assert len(ids) == len(set(ids)) == 2 * RUNS == OutgoingNews.objects.filter(status="sent").count()
    Breaker(f"outgoing-{endpoint.pk}").reset()


def services(flag: RiskFlag, ticket: Any, agent: User) -> dict[str, Callable[..., object]]:
    """Every service that a person calls about a flag or a ticket, with all that it needs but the person."""
    of_flag = {"flag_id": flag.pk, "now": NOON}
    seen_flag = of_flag | {"seen_version": flag.version}
    of_ticket = {"ticket_id": ticket.pk, "now": NOON}
    seen = of_ticket | {"seen_version": ticket.version}
    return {
        "move": partial(flags.move, transition="reject", reason="x", **seen_flag),
        "change_level": partial(flags.change_level, level=2, reason="x", **seen_flag),
        "acknowledge": partial(flags.acknowledge, **of_flag),
        "add_note": partial(flags.add_note, text="x", **of_flag),
        "edit": partial(flags.edit, fields={"impact": "x"}, **seen_flag),
        "feedback": partial(flags.feedback, useful=True, **of_flag),
        "reply": partial(tickets.reply, text="x", **seen),
        "note": partial(tickets.note, text="x", **of_ticket),
        "edit_ticket": partial(tickets.edit, fields={"subject": "x"}, **seen),
        "assign": partial(tickets.assign, assignee=agent, **seen),
        "wait": partial(tickets.wait, reason="x", **seen),
        "resolve": partial(tickets.resolve, reason="x", **seen),
        "merge": partial(tickets.merge, into_id=ticket.pk + 1, **seen),
        "link": partial(tickets.add_link, target="risk_flag:1", **of_ticket),
        "replay": partial(outgoing.replay, news_ids=[], now=NOON),
    }


@pytest.mark.django_db
@pytest.mark.parametrize("role", [Role.AUDITOR, None, "left"])
def test_whoever_may_not_write_writes_nothing(role: Any) -> None:
    _, about, (agent,) = desk()
    flag, ticket = raised(level=3), made(category=about)
    actor = person(Role.ADMINISTRATOR, is_active=False) if role == "left" else person(role) if role else UserFactory()
    decisions, events = Decision.objects.count(), FlagEvent.objects.count()
    for name, service in services(flag, ticket, agent).items():
        refused: object = None
        try:
            service(actor=actor)
        except DomainError as error:
            refused = error
        assert isinstance(refused, NotAllowed), (name, refused)
    assert (Decision.objects.count(), FlagEvent.objects.count()) == (decisions, events)


PAGES = [
    "/admin/escalation/riskflag/", "/admin/escalation/riskflag/board/", "/admin/escalation/ticket/",
    "/admin/escalation/proposal/", "/admin/escalation/review/", "/admin/", "/admin/core/decision/",
    "/admin/escalation/riskflag/{flag}/change/", "/admin/escalation/riskflag/{flag}/level/",
    "/admin/escalation/riskflag/{flag}/edit/", "/admin/escalation/riskflag/{flag}/note/",
    "/admin/escalation/riskflag/{flag}/move/reject/", "/admin/escalation/riskflag/raise/?source=ticket:{ticket}",
    "/admin/escalation/ticket/{ticket}/change/", "/admin/escalation/ticket/{ticket}/edit/",
    "/admin/escalation/ticket/{ticket}/resolve/", "/admin/escalation/ticket/{ticket}/merge/",
    "/admin/escalation/proposal/{proposal}/change/", "/admin/escalation/proposal/{proposal}/confirm/",
]  # fmt: skip


@pytest.mark.django_db
def test_no_text_of_a_ticket_a_flag_or_a_proposal_is_markup_on_any_page(client: Client) -> None:
    boss = person(Role.ADMINISTRATOR, is_superuser=True)
    _, about, _ = desk()
    ticket = made(
        category=about, subject=EVIL, summary=EVIL, message=EVIL, requester_name=EVIL, order_reference=EVIL[:40]
    )
    flag = raised(
        level=3, title=EVIL, description=EVIL, impact=EVIL, containment=EVIL, frequency=EVIL, affected_customers=EVIL,
        communications=EVIL, evidence=[{"what": EVIL, EVIL: "x"}],
    )  # fmt: skip
    flags.add_note(flag_id=flag.pk, actor=boss, text=EVIL, now=NOON)
    tickets.note(ticket_id=ticket.pk, text=EVIL, actor=boss, now=NOON)
    finding = Finding("ticket:1", None, EVIL, (EVIL,), 3.0, 3, {"phrases": [{"text": EVIL}]}, affected_count=1)
    proposal = proposals.propose(indicator="data", finding=finding, now=NOON)
    assert proposal is not None
    client.force_login(boss)
    shown = 0
    for page in PAGES:
        response = client.get(page.format(flag=flag.pk, ticket=ticket.pk, proposal=proposal.pk), follow=True)
        if response.status_code == 404:
            pytest.fail(page)
        body = response.content.decode()
        assert "<script>alert" not in body, page
        shown += "&lt;script&gt;alert" in body
    assert shown >= 12
