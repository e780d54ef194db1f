"""The same thing twice at the same moment, many times over, and an import that is killed in the middle."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from apps.core.models import Decision
from apps.core.roles import Role
from apps.register import acceptances, incidents, reviews, risks
from apps.register.models import Incident, Rating, RegisterReview, Risk, RiskAssessment, RiskImport
from apps.register.papers.importing import apply, preview
from tests.core.factories import person
from tests.register.factories import NOON, TESTS, a_scored_risk, an_assessment, three
from tests.register.test_import_apply import SMALL
from tests.register.test_races import chain_is_whole, split
from tests.support.races import RUNS, at_once, kill

pytestmark = pytest.mark.django_db(transaction=True)


def test_approving_and_rejecting_again_and_again() -> None:
    one, two = person(Role.RISK_MANAGER), person(Role.RISK_MANAGER)
    asker = person(Role.RISK_MANAGER)
    for _ in range(RUNS):
        risk = a_scored_risk()
        made = acceptances.request(
            risk_id=risk.pk, seen_version=risk.version, reason="Small.", expires_on=NOON.date() + timedelta(days=9),
            actor=asker, now=NOON,
        )  # fmt: skip
        facts: dict[str, Any] = {"acceptance_id": made.pk, "now": NOON, "reason": "So."}
        done, errors = split(
            at_once(
                lambda facts=facts: acceptances.approve(actor=one, **facts),
                lambda facts=facts: acceptances.reject(actor=two, **facts),
            )
        )
        assert (len(done), [getattr(error, "code", error) for error in errors]) == (1, ["wrong_state"])
        assert Decision.objects.filter(subject=f"risk:{risk.pk}", action__startswith="acceptance_").count() == 2
    assert chain_is_whole()


def test_editing_and_scoring_again_and_again() -> None:
    version = three()
    risk = a_scored_risk()
    for turn in range(RUNS):
        seen = Risk.objects.get(pk=risk.pk).version
        common: dict[str, Any] = {"risk_id": risk.pk, "seen_version": seen, "actor": TESTS, "now": NOON}
        done, errors = split(
            at_once(
                lambda common=common, turn=turn: risks.edit_risk(changes={"title": f"Title {turn}"}, **common),
                lambda common=common: risks.rate(
                    kind="current", probability=1, impact=2, reason="r", matrix=version, **common
                ),
            )
        )
        assert (len(done), [getattr(error, "code", error) for error in errors]) == (1, ["risk_changed"])
        assert Risk.objects.get(pk=risk.pk).version == seen + 1
        assert Rating.objects.filter(risk=risk, kind="current", latest=True).count() == 1
    assert chain_is_whole()


def test_going_on_with_an_incident_again_and_again() -> None:
    people = [person(Role.RISK_MANAGER) for _ in range(2)]
    for _ in range(RUNS):
        made = incidents.open_incident(
            title="Fire", description="d", severity=2, started_at=NOON, actor=people[0], now=NOON
        )
        steps: list[Callable[[], object]] = [
            lambda who=who, made=made: incidents.advance(  # type: ignore[misc]
                incident_id=made.pk, seen_version=1, text="Done.", actor=who, now=NOON
            )
            for who in people
        ]
        done, errors = split(at_once(*steps))
        assert (len(done), [getattr(error, "code", error) for error in errors]) == (1, ["incident_changed"])
        assert Incident.objects.get(pk=made.pk).stage == "containment"
        assert made.events.count() == 2


def test_completing_a_review_again_and_again() -> None:
    people = [person(Role.RISK_MANAGER) for _ in range(2)]
    for _ in range(RUNS):
        review = reviews.ask_for(actor=people[0], now=NOON, assessment=an_assessment())
        reviews.start(review_id=review.pk, actor=people[0], now=NOON)
        for point in review.points.all():
            reviews.decide_point(point_id=point.pk, decision="So.", actor=people[0], now=NOON)
        work: list[Callable[[], object]] = [
            lambda who=who, review=review: reviews.complete(  # type: ignore[misc]
                review_id=review.pk, actor=who, now=NOON, notes=who.username
            )
            for who in people
        ]
        done, errors = split(at_once(*work))
        assert (len(done), errors) == (2, [])
        told = Decision.objects.filter(action="register_review_completed", subject=f"register_review:{review.pk}")
        assert told.count() == 1
        assert RegisterReview.objects.filter(assessment=review.assessment, status="planned").count() == 1
    assert chain_is_whole()


def test_importing_the_same_document_again_and_again() -> None:
    for turn in range(RUNS):
        text = SMALL.replace("# Small", f"# Small {turn}").encode()
        rows = [preview(name=f"small-{turn}.md", data=text, actor=TESTS, now=NOON) for _ in range(2)]
        work: list[Callable[[], object]] = [
            lambda row=row: apply(import_id=row.pk, seen=row.register_version, actor=TESTS, now=NOON)  # type: ignore[misc]
            for row in rows
        ]
        done, errors = split(at_once(*work))
        assert (len(done), [getattr(error, "code", error) for error in errors]) == (1, ["register_changed"])
        assert Risk.objects.filter(assessment__title=f"Small {turn}").count() == 2


IMPORT = """
import os, sys
import django
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()
from django.db import connection
from django.utils import timezone
from apps.core.decisions import system
from apps.register.models import RiskImport
from apps.register.papers.importing import apply
row = RiskImport.objects.get()
def told(done, total):
    print(done, flush=True)
apply(import_id=row.pk, seen=row.register_version, actor=system("tests"), now=timezone.now(), progress=told)
"""


def test_an_import_that_is_killed_leaves_nothing_and_is_done_again(tmp_path: Path) -> None:
    item = "{n}. **Thing {n}**\n   - Probability: Medium\n   - Impact: High\n   - Mitigation: One; two\n"
    text = "# Large\n\n## Technical Risks\n" + "".join(item.format(n=n) for n in range(1, 1501))
    row = preview(name="large.md", data=text.encode(), actor=TESTS, now=NOON)
    decisions = Decision.objects.count()
    given = connection.get_connection_params()
    url = f"postgres://{given['user']}@/{given['dbname']}?host={given['host']}"
    worker = subprocess.Popen(
        [sys.executable, "-c", IMPORT], env={**os.environ, "DATABASE_URL": url, "PYTHONPATH": os.getcwd()},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert worker.stdout is not None
    assert int(worker.stdout.readline()) > 0  # risks have been written in its transaction
    kill(worker)
    assert (Risk.objects.count(), RiskAssessment.objects.count(), Decision.objects.count()) == (0, 0, decisions)
    assert RiskImport.objects.get().state == "preview"
    apply(import_id=row.pk, seen=row.register_version, actor=TESTS, now=NOON)
    assert Risk.objects.count() == 1500
    assert chain_is_whole()
