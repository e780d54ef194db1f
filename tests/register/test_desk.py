"""The register's desk: list and filters, the page of a risk, heat maps, decisions bound to what was seen."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.core.roles import Role
from apps.register.models import Category, Rating, Risk
from tests.core.factories import ScopeFactory, person
from tests.register.desk import an_acceptance, an_owned_risk, signed_in
from tests.register.factories import a_category, a_control, a_mitigation, a_risk, a_scored_risk, an_assessment, three

pytestmark = pytest.mark.django_db
LIST = "/admin/register/risk/"


def page(risk: Risk, name: str = "change") -> str:
    return f"{LIST}{risk.pk}/{name}/"


def listed(query: str = "", role: Role = Role.RISK_MANAGER, **who: Any) -> set[str]:
    answer = signed_in(who.get("user") or person(role)).get(LIST + query)
    assert answer.status_code == 200
    return {risk.title for risk in answer.context["cl"].result_list}


def test_filters_find_their_risks() -> None:
    owner = person(Role.RISK_MANAGER)
    now = timezone.now()
    a_scored_risk(3, 3, title="Grave", category=a_category("Security", "Access"), owner=owner)
    a_scored_risk(1, 1, title="Small", assessment=an_assessment())
    Risk.objects.filter(pk=a_risk(title="Old").pk).update(status="closed")
    Risk.objects.filter(pk=a_risk(title="Late").pk).update(next_review_on=(now - timedelta(days=1)).date())
    security = Category.objects.get(path="Security").pk
    assert listed() == {"Grave", "Small", "Late"}
    assert listed("?status=all") == {"Grave", "Small", "Late", "Old"}
    assert listed("?status=closed") == {"Old"}
    assert listed("?severity=70") == {"Grave"}
    assert listed("?severity=none") == {"Late"}
    assert listed(f"?category={security}") == {"Grave"}
    assert listed("?review=overdue") >= {"Late"}
    assert listed("?owner=me", user=owner) == {"Grave"}
    assert listed("?q=smal") == {"Small"}
    assert listed(f"?q={Risk.objects.get(title='Late').reference.lower()}") == {"Late"}


@pytest.mark.parametrize(
    "query", ["?cell=x", "?category=x", "?category=999999", "?assessment=x", "?cell=current-999999999-1-1"]
)
def test_what_a_filter_cannot_read_finds_nothing(query: str) -> None:
    a_scored_risk()
    a_category("Security")
    assert listed(query) == set()


def test_a_cell_of_the_heat_map_leads_to_its_risks() -> None:
    a_scored_risk(2, 3, title="Here")
    a_scored_risk(3, 2, title="There")
    Risk.objects.filter(pk=a_scored_risk(2, 3, title="Closed").pk).update(status="closed")
    browser = signed_in(person(Role.AUDITOR))
    current = browser.get(f"{LIST}heat-map/").context["maps"][1]
    cells = {
        (row, column): cell for row, line in current.rows for column, cell in zip(current.columns, line[:], strict=True)
    }
    here = cells["Medium", "High"]
    assert (here.count, here.level, here.tone, current.total) == (1, "High", "bad", 2)
    assert {risk.title for risk in browser.get(here.url).context["cl"].result_list} == {"Here"}
    assert cells["Low", "Low"].url == ""


def test_heat_maps_count_what_the_person_sees() -> None:
    mine = ScopeFactory()
    a_scored_risk(scope=mine)
    a_scored_risk(scope=ScopeFactory())
    maps = signed_in(person(Role.SUPPORT_MANAGER, mine)).get(f"{LIST}heat-map/").context["maps"]
    assert [one.total for one in maps] == [0, 1, 0]


def test_the_page_tells_how_mitigations_are_verified() -> None:
    risk, _ = an_owned_risk()
    a_mitigation(risk, title="Sprinklers").controls.add(a_control())
    found = signed_in(person(Role.AUDITOR)).get(page(risk))
    assert found.context["verified"].nobody == 1
    assert b"Nobody has attested it yet." in found.content
    assert found.context["offers"] == []  # who reads is offered nothing


def test_a_risk_is_scored_on_its_page_and_the_trail_says_why() -> None:
    risk, owner = an_owned_risk()
    browser = signed_in(owner)
    form = {"seen": risk.version, "kind": "current", "probability": 1, "impact": 1, "reason": "Mended."}
    assert browser.post(page(risk, "rate"), form).status_code == 302
    late = browser.post(page(risk, "rate"), form)
    assert late.status_code == 409
    assert late.context["form"].data["seen"] == str(risk.version + 1)
    assert Rating.objects.filter(risk=risk).count() == 2
    trail = browser.get(f"{LIST}{risk.pk}/trail.csv").content.decode()
    assert "Mended." in trail
    assert owner.username in trail


def test_an_edit_that_came_late_tells_the_difference_and_keeps_what_was_typed() -> None:
    risk, owner = an_owned_risk()
    browser = signed_in(owner)
    form = {"title": "First", "seen": risk.version, "treatment": "mitigate", "owner": owner.pk, "reason": "r"}
    assert browser.post(page(risk, "edit"), form).status_code == 302
    answer = browser.post(page(risk, "edit"), {**form, "title": "Second"})
    assert answer.status_code == 409
    assert b"Second" in answer.content
    assert b"First" in answer.content
    assert Risk.objects.get().title == "First"


def test_an_acceptance_goes_through_the_desk() -> None:
    risk, owner = an_owned_risk()
    until = (timezone.now() + timedelta(days=30)).date().isoformat()
    asked = signed_in(owner).post(
        page(risk, "request"), {"seen": risk.version, "expires_on": until, "reason": "Small."}
    )
    assert asked.status_code == 302
    assert signed_in(owner).get(page(risk, "approve")).status_code == 403
    keeper = signed_in(person(Role.RISK_MANAGER))
    form = keeper.get(page(risk, "approve")).context["form"]
    answer = keeper.post(page(risk, "approve"), {**form.initial, "reason": "Agreed."})
    assert answer.status_code == 302
    assert Risk.objects.get().status == "accepted"


def test_an_outdated_request_is_not_approved_on_the_desk() -> None:
    risk, _ = an_owned_risk()
    asked = an_acceptance(risk)
    keeper = signed_in(person(Role.RISK_MANAGER))
    sent = {"seen": risk.version, "digest": "0" * 64, "reason": "Agreed."}
    assert keeper.post(page(risk, "approve"), sent).status_code == 409
    asked.refresh_from_db()
    assert asked.state == "requested"


@pytest.mark.parametrize("name", ["edit", "rate", "request", "mitigate", "link", "close", "reopen"])
def test_others_do_not_change_a_risk(name: str) -> None:
    risk, owner = an_owned_risk()
    assert signed_in(person(Role.SUPPORT_MANAGER)).get(page(risk, name)).status_code == 403
    assert signed_in(person(Role.AUDITOR)).post(page(risk, name), {"seen": 1}).status_code == 403
    assert signed_in(owner).get(page(risk, name)).status_code == 200


def test_pages_of_other_scopes_are_not_there() -> None:
    risk = a_risk(scope=ScopeFactory())
    browser = signed_in(person(Role.SUPPORT_MANAGER))
    for address in (page(risk), page(risk, "rate"), f"{LIST}{risk.pk}/trail.csv"):
        assert browser.get(address).status_code in (302, 404), address


def test_report_and_changes_of_an_assessment() -> None:
    assessment = an_assessment()
    a_scored_risk(assessment=assessment, title="Fire")
    browser = signed_in(person(Role.AUDITOR))
    address = f"/admin/register/riskassessment/{assessment.pk}/"
    assert b"Fire" in browser.get(f"{address}report/").content
    assert browser.get(f"{address}changes/?since=2026-02-31").status_code == 200
    assert browser.get(f"{address}changes/?since=2020-01-01").context["total"] >= 1


def test_a_new_matrix_version_rewrites_no_score() -> None:
    risk, version = a_scored_risk(), three()
    data = {**version.data, "cells": [["Low", "Low", "Low"], ["Low", "Low", "Low"], ["Low", "Low", "High"]]}
    browser = signed_in(person(Role.RISK_MANAGER))
    form = {"seen": version.number, "scales": json.dumps(data), "reason": "Milder."}
    assert browser.post(f"/admin/register/matrix/{version.matrix_id}/version/", form).status_code == 302
    assert three().number == version.number + 1
    assert Rating.objects.get(risk=risk).level == "High"
