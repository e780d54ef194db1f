"""What the register's pages share: tones, words, scores and links."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from functools import lru_cache

from django.contrib import admin
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin import page_of
from apps.core.facts import label
from apps.core.templatetags.desk import ago, badge
from apps.register.controls import FAILING, MACHINE, NOBODY, PERSON
from apps.register.differences import DAY
from apps.register.models import Acceptance, Attestation, CheckResult, Incident, MatrixVersion, Mitigation, Rating, Risk

DASH = SafeString('<span class="muted">–</span>')

STATUS_TONES = {
    Risk.Status.OPEN: "warn",
    Risk.Status.TREATED: "info",
    Risk.Status.ACCEPTED: "muted",
    Risk.Status.CLOSED: "ok",
}
MITIGATION_TONES = {
    Mitigation.Status.PLANNED: "warn",
    Mitigation.Status.IN_PROGRESS: "info",
    Mitigation.Status.DONE: "ok",
    Mitigation.Status.DROPPED: "muted",
}
ACCEPTANCE_TONES = {
    Acceptance.State.REQUESTED: "info",
    Acceptance.State.APPROVED: "ok",
    Acceptance.State.REJECTED: "bad",
    Acceptance.State.WITHDRAWN: "muted",
    Acceptance.State.OUTDATED: "warn",
    Acceptance.State.EXPIRED: "warn",
}
STAGE_TONES = {
    Incident.Stage.ASSESSMENT: "bad",
    Incident.Stage.CONTAINMENT: "bad",
    Incident.Stage.RESOLUTION: "warn",
    Incident.Stage.RESOLVED: "info",
    Incident.Stage.CLOSED: "ok",
}
# Of checks and of attestations, whose values are the same words.
OUTCOMES = {
    CheckResult.Outcome.PASS: ("ok", "Pass"),
    CheckResult.Outcome.WARN: ("warn", "Warning"),
    CheckResult.Outcome.FAIL: ("bad", "Fail"),
    CheckResult.Outcome.ERROR: ("bad", "Could not be checked"),
}
VERIFIED = {
    MACHINE: ("ok", "Verified by machine"),
    PERSON: ("ok", "Verified by a person"),
    FAILING: ("bad", "Failing"),
    NOBODY: ("muted", "Not verified"),
}
ATTESTED = {
    Attestation.Outcome.IN_PLACE: ("ok", "In place"),
    Attestation.Outcome.PARTLY: ("warn", "Partly in place"),
    Attestation.Outcome.MISSING: ("bad", "Not in place"),
}


@lru_cache(maxsize=256)
def level_names(version_id: int) -> tuple[str, ...]:
    """The levels of a matrix version, from the lowest up; kept, for a version is never changed."""
    return tuple(MatrixVersion.objects.values_list("data__levels", flat=True).get(pk=version_id))


def tone(level: str, levels: Sequence[str]) -> str:
    """The tone of a level by its place among those of its matrix: the upper third, the middle, the rest."""
    place = (levels.index(level) + 1) / len(levels) if level in levels else 1.0
    return "bad" if place > 0.67 else "warn" if place > 0.4 else "low"


def score_badge(rating: Rating | None) -> SafeString:
    """A score as its level, in the matrix's words."""
    if rating is None:
        return DASH
    return format_html(
        '<span title="severity {} of 100">{}</span>',
        rating.severity,
        badge(tone(rating.level, level_names(rating.matrix_id)), rating.level),
    )


def steps(rating: Rating) -> tuple[str, str]:
    """The words of a score's probability and impact; empty where the document said only the level."""
    if rating.probability is None or rating.impact is None:
        return "", ""
    data = rating.matrix.data
    return data["probability"][rating.probability - 1], data["impact"][rating.impact - 1]


def due(day: date | None, today: date) -> SafeString | str:
    """A day, marked where it is past."""
    if day is None:
        return DASH
    words = date_format(day, DAY)
    return format_html("{} {}", words, badge("bad", "Overdue", "clock")) if day < today else words


def when(moment: datetime | None, now: datetime | None = None) -> SafeString:
    """How long ago, or a dash."""
    return ago(moment, now) if moment else DASH


def reference(target: str) -> tuple[str, str]:
    """Words and page of something that is named by kind and id: ``risk_flag:4`` as ``Risk flag 4``."""
    kind, _, key = target.partition(":")
    return (f"{label(kind)} {key}".strip(), page_of(target)) if key.isdigit() else (target, "")


class Plain(admin.ModelAdmin):
    """Stylesheet and list habits of the register."""

    show_full_result_count = False
    list_per_page = 50

    class Media:
        css = {"all": ["register/register.css"]}
