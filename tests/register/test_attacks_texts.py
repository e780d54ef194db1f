"""Texts that people write into the register: secrets are nowhere kept, null bytes and floods are refused or cleaned."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import structlog
from django.core import mail

from apps.core import notifications
from apps.core.errors import DomainError
from apps.core.models import User
from apps.core.roles import Role
from apps.register import (
    acceptances,
    assessments,
    controls,
    documents,
    incidents,
    lessons,
    matrices,
    mitigations,
    reviews,
    risks,
)
from apps.register.models import CommunicationTemplate
from apps.register.refusals import MissingInformation
from tests.core.factories import person
from tests.escalation.test_kept import SECRET, leaks
from tests.register.factories import NOON, a_control, a_mitigation, a_scored_risk, an_assessment, three
from tests.register.test_incidents import opened, resolved, reviewed

pytestmark = pytest.mark.django_db
LATER = NOON.date() + timedelta(days=20)
Write = Callable[[User, str], Any]


@pytest.fixture(autouse=True)
def nothing_leaks() -> Iterator[None]:
    """After each test: neither rows nor mails nor what was logged hold a secret."""
    with structlog.testing.capture_logs() as logged:
        yield
    assert leaks() == []
    while notifications.deliver_one(now=NOON):
        pass
    told = [f"{one.subject} {one.body}" for one in mail.outbox] + [str(line) for line in logged]
    assert not [one for one in told if "hunter2secret" in one or "4111 1111" in one]


def _asked(keeper: User) -> int:
    risk = a_scored_risk()
    return acceptances.request(
        risk_id=risk.pk, seen_version=risk.version, reason="Small.", expires_on=LATER, now=NOON,
        actor=person(Role.RISK_MANAGER),
    ).pk  # fmt: skip


def ask(keeper: User, text: str) -> Any:
    risk = a_scored_risk(owner=person(Role.SUPPORT_MANAGER))
    acceptances.request(
        risk_id=risk.pk, seen_version=risk.version, reason=text, expires_on=LATER, actor=keeper, now=NOON
    )


def edit(keeper: User, text: str) -> Any:
    risk = a_scored_risk()
    words = dict.fromkeys(("description", "cause", "consequence"), text)
    risks.edit_risk(
        risk_id=risk.pk, seen_version=risk.version, changes=words, actor=keeper, now=NOON, reason=text[:300]
    )


def rate(keeper: User, text: str) -> Any:
    risk = a_scored_risk()
    risks.rate(
        risk_id=risk.pk, seen_version=risk.version, kind="current", probability=1, impact=1, reason=text, actor=keeper,
        now=NOON, matrix=three(),
    )  # fmt: skip


def record(keeper: User, text: str) -> Any:
    risks.create_risk(
        title="Fire", source="test:texts", description=text, cause=text, consequence=text, actor=keeper, now=NOON
    )


def status(keeper: User, text: str) -> Any:
    risk = a_scored_risk()
    risks.close(risk_id=risk.pk, seen_version=risk.version, reason=text, actor=keeper, now=NOON)


def drop(keeper: User, text: str) -> Any:
    row = a_mitigation(a_scored_risk())
    mitigations.update(
        mitigation_id=row.pk, seen_version=1, changes={"description": text, "status": "dropped"}, actor=keeper,
        now=NOON, reason=text,
    )  # fmt: skip


def phase(keeper: User, text: str) -> Any:
    assessments.edit_assessment(
        assessment_id=an_assessment().pk, seen_version=1, changes={"phase": "live", "cadence": text}, actor=keeper,
        now=NOON, reason=text,
    )  # fmt: skip


def submit(keeper: User, text: str) -> Any:
    documents.submit(assessment_id=an_assessment().pk, seen_version=1, changes=text, actor=keeper, now=NOON)


def attest(keeper: User, text: str) -> Any:
    controls.attest(
        control_id=a_control().pk, outcome="pass", statement=text, actor=keeper, now=NOON, link="https://example.com/x"
    )


def control(keeper: User, text: str) -> Any:
    controls.edit(control_id=a_control().pk, changes={"description": text}, actor=keeper, now=NOON, reason=text)


def hold(keeper: User, text: str) -> Any:
    review = reviews.ask_for(actor=keeper, now=NOON, assessment=an_assessment())
    reviews.start(review_id=review.pk, actor=keeper, now=NOON)
    for point in review.points.all():
        reviews.decide_point(point_id=point.pk, decision=text[:3000], actor=keeper, now=NOON)
    reviews.complete(review_id=review.pk, actor=keeper, now=NOON, notes=text * 2)


def scales(keeper: User, text: str) -> Any:
    data = matrices.data_of(three()).model_dump() | {"review_every_days": {"High": 9}}
    matrices.new_version(slug=matrices.THREE, data=data, reason=text, actor=keeper, now=NOON)


def incident(keeper: User, text: str) -> Any:
    opened(keeper, description=text)


def stage(keeper: User, text: str) -> Any:
    incidents.advance(incident_id=opened(keeper).pk, seen_version=1, text=text, actor=keeper, now=NOON)


def entry(keeper: User, text: str) -> Any:
    incidents.add_entry(incident_id=opened(keeper).pk, kind="action", text=text, actor=keeper, now=NOON)


def graver(keeper: User, text: str) -> Any:
    incidents.change(
        incident_id=opened(keeper).pk, seen_version=1, changes={"severity": 5}, actor=keeper, now=NOON, reason=text
    )


def tell(keeper: User, text: str) -> Any:
    template = CommunicationTemplate(slug="t", subject="{title}", body="{summary} {next_update}", step="notification")
    incidents.send_message(
        incident_id=opened(keeper).pk, template=template, recipients=[keeper], summary=text, actor=keeper, now=NOON,
        next_update=text if len(text) < 200 else "",
    )  # fmt: skip


def lesson(keeper: User, text: str) -> Any:
    held = resolved(keeper)
    lessons.hold_review(
        incident_id=held.pk, seen_version=held.version, summary=text, cause=text, went_well=text, went_badly=text,
        actor=keeper, now=NOON,
    )  # fmt: skip


def propose(keeper: User, text: str) -> Any:
    change = lessons.propose(
        incident_id=reviewed(keeper).pk, kind="new_risk", content={"title": "Fire", "description": text}, reason=text,
        actor=keeper, now=NOON,
    )  # fmt: skip
    lessons.decide(change_id=change.pk, make=True, reason=text, actor=keeper, now=NOON)


def approve(keeper: User, text: str) -> Any:
    acceptances.approve(acceptance_id=_asked(keeper), actor=keeper, now=NOON, reason=text)


def reject(keeper: User, text: str) -> Any:
    acceptances.reject(acceptance_id=_asked(keeper), actor=keeper, now=NOON, reason=text)


def withdraw(keeper: User, text: str) -> Any:
    acceptances.withdraw(acceptance_id=_asked(keeper), actor=keeper, now=NOON, reason=text)


WRITES: list[Write] = [
    ask, edit, rate, record, status, drop, phase, submit, attest, control, hold, scales, incident, stage, entry, graver,
    tell, lesson, propose, approve, reject, withdraw,
]  # fmt: skip


@pytest.mark.parametrize("write", WRITES)
def test_a_secret_is_nowhere_kept(write: Write) -> None:
    write(person(Role.RISK_MANAGER), f"As seen: {SECRET}.")


@pytest.mark.parametrize("write", WRITES)
def test_null_bytes_break_nothing(write: Write) -> None:
    write(person(Role.RISK_MANAGER), "A\x00 word.")


@pytest.mark.parametrize("write", [write for write in WRITES if write is not hold])  # which cuts the decision itself
def test_a_flood_of_text_is_refused_in_words(write: Write) -> None:
    """A text of a hundred thousand signs is refused; never an error of the database."""
    with pytest.raises(DomainError) as refused:
        write(person(Role.RISK_MANAGER), "word " * 20_000)
    assert getattr(refused.value, "code", "") == "missing_information"


def test_what_holds_no_secret_is_left_as_it_was() -> None:
    words = "Order 1001, 12.50 EUR since 2026-03-01: TLS 1.3, R-0007, <b>bold</b> & 5 > 4"
    made = risks.create_risk(
        title="Fire", source="imports:4155550132", description=words, actor=person(Role.RISK_MANAGER), now=NOON
    )
    assert (made.description, made.source) == (words, "imports:4155550132")


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,<script>1</script>", "//example.com", "file:///etc/passwd",
        "https://name:hunter2secret@example.com/", "https://example.com/?password=hunter2secret", "https://exa mple.com",
        "https://example.com/\x00", "https://example.com/" + "x" * 600, "vbscript:x", "ftp://example.com/x",
    ],
)  # fmt: skip
def test_a_link_that_runs_or_tells_a_secret_is_no_evidence(link: str) -> None:
    with pytest.raises(MissingInformation):
        controls.attest(
            control_id=a_control().pk, outcome="pass", statement="Seen.", actor=person(Role.RISK_MANAGER), now=NOON,
            link=link,
        )  # fmt: skip


@pytest.mark.parametrize("days", [0, -1, 3661, 2_000_000_000, 2**40])
def test_a_cadence_beyond_the_calendar_is_refused(days: int) -> None:
    with pytest.raises(MissingInformation):
        controls.edit(
            control_id=a_control().pk, changes={"every_days": days}, actor=person(Role.RISK_MANAGER), now=NOON,
            reason="r",
        )  # fmt: skip
