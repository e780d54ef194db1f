"""The desk and the API under hostile hands: markup in every text, and every page and operation asked by every role."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.urls import URLPattern, get_resolver
from django.utils import timezone
from rest_framework.test import APIClient

from apps.core.roles import Role
from apps.register import acceptances, controls, incidents, lessons, reviews, risks, urls
from apps.register.models import Control, Incident, Mitigation, RegisterReview, Risk, RiskAssessment
from tests.core.factories import ScopeFactory, person
from tests.register.desk import signed_in
from tests.register.factories import a_control, a_mitigation, a_scored_risk, an_assessment, three
from tests.register.test_import_apply import SMALL, imported

pytestmark = pytest.mark.django_db
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"' [x](javascript:alert(3)) <javascript:alert(4)>"
STRANGERS = (Role.SUPPORT_AGENT, Role.OPERATOR, Role.CONTENT_OWNER)
ROOT = "/admin/register"


def _evil_register() -> dict[str, int]:
    """A register in which every text is markup that would run; the keys of its things."""
    now, keeper = timezone.now(), person(Role.RISK_MANAGER, first_name=EVIL[:40], last_name=EVIL[:40])
    place = an_assessment(title=EVIL, project=EVIL, overview=EVIL, cadence=EVIL, references=[EVIL], created_on=now)
    risk = risks.create_risk(
        title=EVIL, source="test:evil", description=EVIL, cause=EVIL, consequence=EVIL, assessment=place, actor=keeper,
        now=now, owner=keeper,
    )  # fmt: skip
    risks.rate(
        risk_id=risk.pk, seen_version=1, kind="current", probability=3, impact=3, reason=EVIL, actor=keeper, now=now,
        matrix=three(),
    )  # fmt: skip
    risks.link(risk_id=risk.pk, target="risk_flag:4", note=EVIL, actor=keeper, now=now)
    task = a_mitigation(risk, title=EVIL, description=EVIL, effect=EVIL, priority=EVIL[:60])
    control = a_control(title=EVIL, description=EVIL)
    task.controls.add(control)
    controls.attest(
        control_id=control.pk, outcome="pass", statement=EVIL, actor=keeper, now=now, link="https://example.com/%22%3E"
    )
    version = Risk.objects.get(pk=risk.pk).version
    acceptances.request(
        risk_id=risk.pk, seen_version=version, reason=EVIL, expires_on=now.date() + timedelta(days=9), actor=keeper,
        now=now,
    )  # fmt: skip
    review = reviews.ask_for(actor=keeper, now=now, assessment=place)
    reviews.start(review_id=review.pk, actor=keeper, now=now)
    for point in review.points.all():
        reviews.decide_point(
            point_id=point.pk, decision=EVIL, next_action=EVIL, action_owner=keeper, actor=keeper, now=now
        )
    reviews.complete(review_id=review.pk, actor=keeper, now=now, notes=EVIL)
    return {
        "risk": risk.pk, "riskassessment": place.pk, "mitigation": task.pk, "control": control.pk,
        "registerreview": review.pk, "incident": _evil_incident(keeper, risk), "riskimport": _evil_import(),
    }  # fmt: skip


def _evil_incident(keeper: Any, risk: Risk) -> int:
    now = timezone.now()
    made = incidents.open_incident(
        title=EVIL, description=EVIL, severity=4, started_at=now, actor=keeper, now=now, risks=[risk]
    )
    for _ in range(3):
        made.refresh_from_db()
        incidents.advance(incident_id=made.pk, seen_version=made.version, text=EVIL, actor=keeper, now=now)
    made.refresh_from_db()
    lessons.hold_review(
        incident_id=made.pk, seen_version=made.version, summary=EVIL, cause=EVIL, went_well=EVIL, went_badly=EVIL,
        actor=keeper, now=now,
    )  # fmt: skip
    lessons.propose(
        incident_id=made.pk, kind="new_risk", content={"title": EVIL, "description": EVIL}, reason=EVIL, actor=keeper,
        now=now,
    )  # fmt: skip
    return made.pk


def _evil_import() -> int:
    row = imported(SMALL.replace("First thing", EVIL.replace("*", "")), name=f"{EVIL}.md")
    return row.pk


def test_no_text_runs_on_any_page() -> None:
    keys = _evil_register()
    browser = signed_in(person(Role.RISK_MANAGER))
    pages = [f"{ROOT}/{name}/{pk}/change/" for name, pk in keys.items()] + [f"{ROOT}/{name}/" for name in keys]
    pages += [f"{ROOT}/risk/heat/", "/admin/", f"{ROOT}/acceptance/"]
    seen = 0
    for page in pages:
        answer = browser.get(page, follow=True)
        if answer.status_code == 404:
            continue
        words = answer.content.decode()
        assert "<script>alert(" not in words, page
        assert "<img src=x" not in words, page
        assert 'href="javascript:' not in words.lower(), page
        seen += "&lt;script&gt;alert(1)" in words
    assert seen >= 8  # the texts stand on the pages, escaped


def _patterns() -> list[str]:
    """Names of all addresses below the register's admin pages that take no key or one."""
    found = []
    for entry in get_resolver("apps.register.urls").url_patterns:
        assert isinstance(entry, URLPattern)
        found.append(str(entry.pattern))
    return found


@pytest.mark.parametrize("role", STRANGERS)
def test_no_page_of_the_register_opens_for_a_stranger(role: Role) -> None:
    browser, count = signed_in(person(role)), 0
    for model, modeladmin in admin.site._registry.items():
        if model._meta.app_label != "register":
            continue
        for entry in modeladmin.get_urls():
            address = _filled(f"{ROOT}/{model._meta.model_name}/{entry.pattern}")
            assert "<" not in address, address
            for method in ("get", "post"):
                if role == Role.OPERATOR and model._meta.model_name == "checkversion":
                    continue  # operators see the checks' limits
                answer = getattr(browser, method)(address)
                # Django's own pages send away, to the start, where there is no such row.
                away = answer.status_code == 302 and (answer.url == "/admin/" or entry.name is None)
                assert away or answer.status_code in (403, 404, 405), (method, address, answer.status_code)
                count += 1
    assert count > 100


def _filled(pattern: str) -> str:
    return re.sub(r"<(str|slug):\w+>", "xlsx", re.sub(r"<(int|path):\w+>", "1", pattern))


@pytest.mark.parametrize("role", [*STRANGERS, None])
def test_no_operation_of_the_api_answers_a_stranger(role: Role | None) -> None:
    api, refused = APIClient(), 403 if role else 401
    if role:
        api.force_authenticate(person(role))
    for pattern in _patterns():
        address = f"/api/{pattern.replace('<int:risk_id>', '1').replace('<int:acceptance_id>', '1')}"
        address = address.replace("<int:mitigation_id>", "1").replace("<int:control_id>", "1")
        for method in ("get", "post", "patch"):
            answer = getattr(api, method)(address, {}, format="json", headers={"If-Match": '"1"'})
            assert answer.status_code in (refused, 405), (method, address, answer.status_code)
    assert len(urls.urlpatterns) >= 11


@pytest.mark.parametrize("role", [Role.SUPPORT_MANAGER, Role.TEAM_LEAD])
def test_what_belongs_to_another_scope_is_not_there(role: Role) -> None:
    store, other = ScopeFactory(), ScopeFactory()
    keeper, user, now = person(Role.RISK_MANAGER), person(role, store), timezone.now()
    place = an_assessment(scope=other)
    risk = a_scored_risk(scope=other)
    incident = incidents.open_incident(
        title="x", description="x", severity=1, started_at=now, actor=keeper, now=now, scope=other
    )
    review = reviews.ask_for(actor=keeper, now=now, risk=risk)
    rows = {"risk": risk.pk, "riskassessment": place.pk, "incident": incident.pk, "registerreview": review.pk}
    rows["mitigation"] = a_mitigation(risk).pk
    browser = signed_in(user)
    for name, pk in rows.items():
        answer = browser.get(f"{ROOT}/{name}/{pk}/change/")
        assert answer.status_code in (302, 403, 404), name
    for model in (Risk, RiskAssessment, Incident, RegisterReview, Mitigation):
        assert not model.objects.visible_to(user).exists(), model
    assert Control.objects.visible_to(user).count() == Control.objects.count()  # these are the whole company's
