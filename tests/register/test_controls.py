"""Controls: kept, linked and attested with evidence; by whom; what they say now; and reminders."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile

from apps.core.models import Decision, User
from apps.core.roles import Role
from apps.register import controls
from apps.register.models import Attestation, CheckResult, Control
from apps.register.refusals import ControlChanged, EvidenceRefused, MissingInformation, NotAllowed, NotFound, WrongState
from tests.core.factories import person
from tests.register.factories import NOON, a_control, a_mitigation, a_risk

pytestmark = pytest.mark.django_db
LEADS = [Role.TEAM_LEAD, Role.SUPPORT_MANAGER, Role.SUPPORT_DIRECTOR]
KEEPERS = {Role.RISK_MANAGER, Role.ADMINISTRATOR}
LINK = "https://example.com/protocol"


@pytest.fixture(autouse=True)
def _files_of_its_own(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path


def attest(control: Control, actor: User, **facts: Any) -> Attestation:
    given = {"outcome": "pass", "statement": "I looked.", "link": LINK, "now": NOON}
    return controls.attest(control_id=control.pk, actor=actor, **{**given, **facts})


def a_result(slug: str, outcome: str = "pass") -> CheckResult:
    result: CheckResult = CheckResult.objects.create(
        check_slug=slug, outcome=outcome, summary="Looked.", checked_at=NOON, since=NOON, seconds=0.1
    )
    return result


def a_checked_control(slug: str = "tls") -> Control:
    return a_control(kind="checked", check_slug=slug)


@pytest.mark.parametrize("role", Role)
def test_who_keeps_the_register_adds_and_edits_controls(role: Role) -> None:
    actor, there = person(role), a_control()
    facts: dict[str, Any] = {"slug": "floor", "title": "Clean floor", "kind": "attested", "actor": actor, "now": NOON}
    change: dict[str, Any] = {"control_id": there.pk, "changes": {"every_days": 30}, "reason": "Dust.", "now": NOON}
    if role not in KEEPERS:
        for write, given in ((controls.add, facts), (controls.edit, change | {"actor": actor})):
            with pytest.raises(NotAllowed):
                write(**given)
        return
    assert controls.add(**facts).every_days == 90
    assert controls.edit(actor=actor, **change).every_days == 30
    entry = LogEntry.objects.get_for_object(there).filter(action=LogEntry.Action.UPDATE).get()
    assert (entry.actor, entry.additional_data) == (actor, {"reason": "Dust."})


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "checked"},
        {"check_slug": "tls"},
        {"slug": "a b"},
        {"title": " "},
        {"every_days": -1},
        {"kind": "hoped"},
    ],
)
def test_a_control_that_does_not_fit_is_refused(fields: dict[str, Any]) -> None:
    facts = {"slug": "floor", "title": "Clean floor", "kind": "attested", **fields}
    with pytest.raises(MissingInformation):
        controls.add(actor=person(Role.RISK_MANAGER), now=NOON, **facts)


def test_a_name_is_taken_once() -> None:
    there = a_control()
    with pytest.raises(MissingInformation):
        controls.add(slug=there.slug, title="Same", kind="attested", actor=person(Role.RISK_MANAGER), now=NOON)


def test_a_changed_control_is_refused_and_tells_what_differs() -> None:
    control, manager = a_control(), person(Role.RISK_MANAGER)
    facts: dict[str, Any] = {
        "control_id": control.pk,
        "seen_version": 1,
        "reason": "So.",
        "actor": manager,
        "now": NOON,
    }
    assert controls.edit(changes={"every_days": 30}, **facts).version == 2
    with pytest.raises(ControlChanged) as refused:
        controls.edit(changes={"every_days": 60}, **facts)
    assert [(one.field, one.before, one.now) for one in refused.value.differences] == [("Every days", "90", "30")]


@pytest.mark.parametrize("role", LEADS)
def test_owners_attest_their_own(role: Role) -> None:
    owner = person(role)
    word = attest(a_control(owner=owner), owner)
    assert word.valid_until == NOON.date() + timedelta(days=90)
    assert Decision.objects.get(action="control_attested").payload["outcome"] == "pass"
    attest(a_control(owner_role=role), owner)
    for foreign in (a_control(), a_control(owner=person(role), owner_role=role), a_control(owner_role="Pilot")):
        with pytest.raises(NotAllowed):
            attest(foreign, owner)


def test_who_keeps_the_register_attests_any() -> None:
    attest(a_control(), person(Role.RISK_MANAGER))


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.SUPPORT_AGENT, Role.OPERATOR, Role.CONTENT_OWNER])
def test_who_only_reads_attests_nothing_even_the_own(role: Role) -> None:
    reader = person(role)
    with pytest.raises(NotAllowed):
        attest(a_control(owner=reader), reader)


@pytest.mark.parametrize("control", [{"kind": "checked", "check_slug": "tls"}, {"active": False}])
def test_what_the_system_checks_or_nobody_uses_is_not_attested(control: dict[str, Any]) -> None:
    with pytest.raises(WrongState):
        attest(a_control(**control), person(Role.RISK_MANAGER))


@pytest.mark.parametrize(
    "facts",
    [{"link": ""}, {"link": "javascript:alert(1)"}, {"link": "ftp://x.org/a"}, {"statement": ""}, {"outcome": "error"}],
)
def test_a_word_needs_a_statement_and_evidence(facts: dict[str, Any]) -> None:
    with pytest.raises(MissingInformation):
        attest(a_control(), person(Role.RISK_MANAGER), **facts)


def a_file(content: bytes, name: str = "report.pdf") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content, content_type="application/pdf")


@pytest.mark.parametrize(
    ("content", "name", "suffix"),
    [
        (b"%PDF-1.7 ...", "a.exe", ".pdf"),
        (b"\x89PNG\r\n\x1a\n..", "../../etc/passwd", ".png"),
        ("Größe: 3\n".encode(), "log.txt", ".txt"),
    ],
)
def test_evidence_is_kept_under_a_name_of_our_own(content: bytes, name: str, suffix: str) -> None:
    word = attest(a_control(), person(Role.RISK_MANAGER), link="", file=a_file(content, name))
    assert word.evidence_file.name.startswith("register/evidence/")
    assert word.evidence_file.name.endswith(suffix)
    with word.evidence_file.open() as kept:
        assert kept.read() == content


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"", "a.pdf"),
        (b"<html><script>", "a.pdf"),
        (b"<svg onload=1>", "a.svg"),
        (b"<html>", "a.html"),
        (b"MZ\x90\x00", "a.txt"),
        (b"\xff\xfe a", "a.csv"),
        (b"PK\x03\x04", "a.docx"),
        (b"%PDF-" + b"0" * (10 * 1024 * 1024), "a.pdf"),
    ],
)
def test_other_files_are_refused_and_nothing_is_kept(content: bytes, name: str) -> None:
    with pytest.raises(EvidenceRefused):
        attest(a_control(), person(Role.RISK_MANAGER), file=a_file(content, name))
    assert not Attestation.objects.exists()


def test_links_follow_the_mitigation() -> None:
    owner, control = person(Role.TEAM_LEAD), a_control()
    mine, foreign = a_mitigation(a_risk(owner=owner)), a_mitigation(a_risk())
    controls.link(control_id=control.pk, mitigation_id=mine.pk, actor=owner)
    controls.link(control_id=control.pk, mitigation_id=mine.pk, actor=owner)
    assert list(mine.controls.all()) == [control]
    with pytest.raises(NotAllowed):
        controls.link(control_id=control.pk, mitigation_id=foreign.pk, actor=owner)
    with pytest.raises(NotFound):
        controls.link(control_id=0, mitigation_id=mine.pk, actor=owner)
    controls.unlink(control_id=control.pk, mitigation_id=mine.pk, actor=owner, reason="Another floor.")
    assert not mine.controls.exists()
    reasons = LogEntry.objects.get_for_object(mine).values_list("additional_data__reason", flat=True)
    assert "Another floor." in reasons


def test_a_risk_tells_how_its_mitigations_are_verified() -> None:
    risk, manager = a_risk(), person(Role.RISK_MANAGER)
    by_machine, by_person, by_nobody, ended, broken = (a_mitigation(risk, title=str(n)) for n in range(5))
    failing = a_mitigation(risk, title="5")
    a_mitigation(risk, status="dropped")
    by_machine.controls.add(a_checked_control("tls"), a_control())
    attested, late = a_control(), a_control(every_days=1)
    by_person.controls.add(attested, a_checked_control("never-ran"))
    ended.controls.add(late)
    broken.controls.add(a_checked_control("backup"))
    failing.controls.add(a_checked_control("keys"), attested)
    a_result("tls", "warn")
    a_result("keys", "fail")
    a_result("backup", "error")
    attest(attested, manager)
    attest(late, manager)
    found = controls.verified(risk, now=NOON + timedelta(days=2))
    assert (found.total, found.machine, found.person, found.failing, found.nobody) == (6, 1, 1, 1, 3)
    assert found.controls == 2
    assert [line.by for line in found.lines] == ["machine", "person", "nobody", "nobody", "nobody", "failing", "nobody"]
    assert found.lines[3].controls[0].words == "The attestation ended on 3 Mar 2026."
    assert by_nobody.title == "2"


def test_the_last_word_counts() -> None:
    risk, control, manager = a_risk(), a_control(), person(Role.RISK_MANAGER)
    a_mitigation(risk).controls.add(control)
    attest(control, manager)
    attest(control, manager, outcome="fail", statement="It fell off.")
    assert controls.words_of([control], NOON)[control.pk].words == "It fell off."
    assert controls.verified(risk, now=NOON).failing == 1


def test_verification_takes_a_constant_number_of_statements(django_assert_max_num_queries: Any) -> None:
    risk = a_risk()
    for number in range(10):
        a_mitigation(risk).controls.add(a_checked_control(f"check-{number}"), a_control())
    with django_assert_max_num_queries(4):
        assert controls.verified(risk, now=NOON).nobody == 10


def test_owners_are_reminded_before_on_the_day_and_each_week_after() -> None:
    owner = person(Role.TEAM_LEAD)
    control = a_control(owner=owner, every_days=20)
    assert controls.remind(now=NOON) == 1
    assert controls.remind(now=NOON) == 0
    attest(control, owner)
    days = [day for day in range(40) if controls.remind(now=NOON + timedelta(days=day))]
    assert days == [6, 20, 27, 34]
