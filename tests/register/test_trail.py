"""The history of a risk: one entry an action, no repeats, people and times as pages show them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.core.roles import Role
from apps.register import acceptances, mitigations, risks
from apps.register.models import Risk
from apps.register.trail import Bundle, Change, bundles, trail
from tests.core.factories import person
from tests.register.desk import an_owned_risk, signed_in
from tests.register.factories import a_mitigation

pytestmark = pytest.mark.django_db
NOW = timezone.now()


def change(seconds: int = 0, name: str = "Title", **more: str | bool) -> Change:
    return Change(
        NOW - timedelta(seconds=seconds), **{"who": "Rita", "name": name, "why": "Typo", "after": "x", **more}
    )  # type: ignore[arg-type]


def told(bundle: Bundle) -> list[tuple[str, str]]:
    return [(thing, one.name) for thing, changes in bundle.parts for one in changes]


def test_what_one_action_changed_stands_together() -> None:
    found = bundles([change(), change(1, "Cause"), change(2, "Cause", why="Another reason"), change(60, "Cause")])
    assert [told(one) for one in found] == [[("", "Title"), ("", "Cause")], [("", "")], [("", "")]]
    assert [one.title for one in found] == ["Changed", "Cause", "Cause"]


def test_another_person_at_the_same_moment_is_another_action() -> None:
    assert len(bundles([change(), change(who="Dora")])) == 2


def test_a_decision_names_the_bundle_and_repeats_are_told_once() -> None:
    same = change(0, "Status", before="Open", after="Accepted", why="")
    (one,) = bundles([change(0, "Acceptance approved", done=True), same, same])
    assert (one.title, one.why, told(one)) == ("Acceptance approved", "Typo", [("", "Status")])


def test_fields_of_one_mitigation_stand_under_its_name() -> None:
    (one,) = bundles(
        [change(thing="Mitigation “A”"), change(thing="Mitigation “B”"), change(name="x", thing="Mitigation “B”")]
    )
    assert [thing for thing, _ in one.parts] == ["Mitigation “A”", "Mitigation “B”"]


def test_an_acceptance_is_told_once_a_step() -> None:
    risk, owner = an_owned_risk()
    decider = person(Role.RISK_MANAGER, first_name="Rita", last_name="Risk")
    asked = acceptances.request(
        risk_id=risk.pk, seen_version=risk.version, expires_on=(NOW + timedelta(days=30)).date(), actor=owner, now=NOW,
        reason="Small.",
    )  # fmt: skip
    acceptances.approve(acceptance_id=asked.pk, actor=decider, now=NOW, reason="Yes.")
    titles = [one.title for one in bundles(trail(risk))]
    assert titles[:2] == ["Acceptance approved", "Acceptance requested"]
    assert sum("cceptance" in one for one in titles) == 2
    assert bundles(trail(risk))[0].who == "Rita Risk"


def test_days_and_moments_are_shown_as_on_every_page() -> None:
    risk, owner = an_owned_risk()
    mitigation = a_mitigation(risk)
    mitigations.update(
        mitigation_id=mitigation.pk, seen_version=mitigation.version, changes={"due_on": NOW.date().replace(2031, 4, 5)},
        actor=owner, now=NOW, reason="Later.",
    )  # fmt: skip
    page = signed_in(person(Role.AUDITOR)).get(f"/admin/register/risk/{risk.pk}/change/").content.decode()
    assert "5 Apr 2031" in page
    assert "2031-04-05" not in page


def test_a_long_history_is_folded() -> None:
    risk, owner = an_owned_risk()
    for number in range(14):
        seen = Risk.objects.get(pk=risk.pk).version
        risks.edit_risk(
            risk_id=risk.pk,
            seen_version=seen,
            changes={"cause": f"c{number}"},
            actor=owner,
            now=NOW,
            reason=f"r{number} ",
        )
    page = signed_in(owner).get(f"/admin/register/risk/{risk.pk}/change/").content.decode()
    assert "<summary>Earlier</summary>" in page
