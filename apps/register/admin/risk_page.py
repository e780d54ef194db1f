"""The page of one risk: its scores over time, what is done about it, what shows that it is done, and its history."""

from __future__ import annotations

import csv
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from apps.core.admin import page_of
from apps.core.asking import found, person
from apps.core.exports import harmless
from apps.core.facts import evidence
from apps.register import controls
from apps.register.admin.offers import offers
from apps.register.admin.shared import ACCEPTANCE_TONES, MITIGATION_TONES, STATUS_TONES, due, reference, steps
from apps.register.models import Acceptance, Mitigation, Rating, Risk
from apps.register.trail import bundles, trail

if TYPE_CHECKING:
    from apps.register.admin.risks import RiskAdmin

MOST_CHANGES = 120


def risk_url(risk: Risk | int, name: str = "change", *args: object) -> str:
    """The address of one of a risk's pages."""
    return reverse(f"admin:register_risk_{name}", args=[risk if isinstance(risk, int) else risk.pk, *args])


def risk_page(modeladmin: RiskAdmin, request: HttpRequest, pk: str) -> HttpResponse:
    """Show a risk."""
    risk: Risk = found(modeladmin, request, pk, "owner", "category", "assessment", "scope", "recorded_by")
    now = timezone.now()
    ratings = list(risk.ratings.select_related("matrix__matrix", "rated_by").order_by("rated_at", "pk"))
    verified = controls.verified(risk, now=now)
    context = {
        **modeladmin.admin_site.each_context(request),
        "title": f"{risk.reference} {risk.title}",
        "opts": modeladmin.opts,
        "risk": risk,
        "now": now,
        "status_tone": STATUS_TONES[Risk.Status(risk.status)],
        "ratings": ratings,
        "scores": _scores(ratings),
        "lines": [_with_tone(line, now) for line in verified.lines],
        "verified": verified,
        "evidence": evidence(risk.evidence),
        "links": _links(risk),
        "source": reference(risk.source),
        "acceptances": _acceptances(risk),
        "review": due(risk.next_review_on, now.date()),
        "reviews": list(risk.reviews.select_related("led_by").order_by("-due_on")[:5]),
        "bundles": bundles(trail(risk, most=MOST_CHANGES)),
        "offers": offers(risk, person(request)),
        "media": modeladmin.media,
    }
    return TemplateResponse(request, "register/risk.html", context)


def trail_file(modeladmin: RiskAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """The whole history of a risk as CSV."""
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    risk: Risk = found(modeladmin, request, pk)
    answer = HttpResponse(content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{risk.reference}-history.csv"'
    rows = csv.writer(answer)
    rows.writerow(["when", "who", "what", "from", "to", "why"])
    for change in trail(risk):
        words = (change.who, change.what, change.before, change.after, change.why)
        rows.writerow([change.at.isoformat(), *(harmless(one) for one in words)])
    return answer


def _scores(ratings: list[Rating]) -> list[dict[str, Any]]:
    """The score of each kind that counts now, with the words of its scale."""
    latest = {one.kind: one for one in ratings if one.latest}
    found = []
    for kind in Rating.Kind:
        rating = latest.get(kind)
        probability, impact = steps(rating) if rating else ("", "")
        found.append({"label": kind.label, "rating": rating, "probability": probability, "impact": impact})
    return found


def _with_tone(line: controls.Line, now: datetime) -> dict[str, Any]:
    mitigation = line.mitigation
    late = mitigation.due_on is not None and mitigation.due_on < now.date()
    open_ = mitigation.status not in (Mitigation.Status.DONE, Mitigation.Status.DROPPED)
    return {
        "line": line,
        "tone": MITIGATION_TONES[Mitigation.Status(mitigation.status)],
        "late": late and open_,
        "url": reverse("admin:register_mitigation_change", args=[mitigation.pk]),
    }


def _links(risk: Risk) -> list[dict[str, Any]]:
    """What it hangs together with, and the incidents in which it came true."""
    rows = []
    for link in risk.links.select_related("added_by"):
        words, url = reference(link.target)
        rows.append({"words": words, "url": url, "note": link.note, "link": link})
    for incident in risk.incidents.all():
        rows.append({"words": str(incident), "url": page_of(f"incident:{incident.pk}"), "note": "Incident"})
    return rows


def _acceptances(risk: Risk) -> list[dict[str, Any]]:
    rows = risk.acceptances.select_related("requested_by", "decided_by").order_by("-requested_at", "-pk")
    return [{"row": row, "tone": ACCEPTANCE_TONES[Acceptance.State(row.state)]} for row in rows[:5]]
