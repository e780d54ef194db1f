"""What the admin pages of the escalation share: words, tones, time left, and the page of a form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString

from apps.core.errors import DomainError, request_id
from apps.core.facts import label
from apps.core.home import address
from apps.core.numbers import whole
from apps.core.redaction import KINDS
from apps.core.templatetags.desk import age, ago, badge
from apps.escalation.models import Clock, RiskFlag, Ticket

DASH = SafeString('<span class="muted">–</span>')
# Where the kinds that references name have a page.
PAGES = {
    "action_card": "admin:actions_actioncard_change",
    "risk_flag": "admin:escalation_riskflag_change",
    "risk": "admin:register_risk_change",
    "ticket": "admin:escalation_ticket_change",
    "conversation": "admin:chat_conversation_change",
    "cluster": "admin:escalation_cluster_change",
    "proposal": "admin:escalation_proposal_change",
}
STATUS_TONES = {
    Ticket.Status.NEW: "warn",
    Ticket.Status.OPEN: "info",
    Ticket.Status.WAITING: "muted",
    Ticket.Status.RESOLVED: "ok",
    Ticket.Status.CLOSED: "muted",
    Ticket.Status.MERGED: "muted",
}
CLOCK_TONES = {
    Clock.Status.RUNNING: "info",
    Clock.Status.PAUSED: "muted",
    Clock.Status.MET: "ok",
    Clock.Status.MISSED: "bad",
    Clock.Status.CANCELLED: "muted",
}


def source_url(source: str) -> str:
    """The page of what a flag was raised from, such as ``action_card:17``; empty where there is none."""
    kind, _, key = source.partition(":")
    name = PAGES.get(kind, "")
    return address(name, int(key)) if name and key.isdigit() else ""


def source_words(source: str) -> str:
    """``action_card:17`` as ``Action card 17``."""
    kind, _, key = source.partition(":")
    if kind == "desk":
        return "By hand"
    return f"{label(kind)} {key}".strip()


def field_words(name: str) -> str:
    """A flag's field as its form calls it."""
    words = getattr(RiskFlag._meta.get_field(name), "verbose_name", name)
    return str(words).capitalize()


def masked_words(masked: Iterable[Mapping[str, Any]]) -> str:
    """What was masked before a text was kept, in words: ``2 × card number``."""
    return ", ".join(f"{one['count']} × {KINDS.get(one['kind'], one['kind'])}" for one in masked)


def links(sources: Iterable[str]) -> list[tuple[str, str]]:
    """Words and pages of several references; tickets by their numbers, in one query."""
    listed = list(sources)
    keys = {one.removeprefix("ticket:") for one in listed if one.startswith("ticket:")}
    wanted = [int(key) for key in keys if key.isascii() and key.isdigit() and len(key) < 18]
    numbers = dict(Ticket.objects.filter(pk__in=wanted).values_list("pk", "number")) if wanted else {}
    names = {f"ticket:{pk}": f"Ticket {number}" for pk, number in numbers.items()}
    return [(names.get(one) or source_words(one), source_url(one)) for one in listed]


def level_tone(level: int) -> str:
    """The tone of a level's badge."""
    return "bad" if level >= RiskFlag.Level.HIGH else "warn" if level == RiskFlag.Level.MEDIUM else "low"


def left_words(due_at: datetime | None, now: datetime) -> tuple[str, str]:
    """Tone and words of the time that is left: ``3 h left``, ``overdue by 2 d``, ``held``."""
    if due_at is None:
        return "muted", "held"
    words = age(due_at, now)
    if due_at <= now:
        return "bad", "overdue" if words == "just now" else f"overdue by {words.removesuffix(' ago')}"
    tone = "warn" if (due_at - now).total_seconds() < 3600 else "ok"
    return tone, "under a minute left" if words == "just now" else f"{words.removeprefix('in ')} left"


def left(due_at: datetime | None, now: datetime) -> SafeString:
    """The time that is left as a badge; the words say whether it is late."""
    return badge(*left_words(due_at, now), "clock")


def when(moment: datetime | None) -> SafeString:
    """How long ago, or a dash."""
    return ago(moment) if moment else DASH


def found(modeladmin: admin.ModelAdmin, request: HttpRequest, pk: str | int, *related: str) -> Any:
    """A row that this person may see.

    Raises:
        Http404: there is none, or it is outside the person's scope; which of the two is not told.
        PermissionDenied: the person's role does not include such rows.
    """
    if not modeladmin.has_view_permission(request):
        raise PermissionDenied
    key = whole(str(pk))
    rows = modeladmin.get_queryset(request).select_related(*related)
    row = None if key is None else rows.filter(pk=key).first()
    if row is None:
        raise Http404
    return row


def page(modeladmin: admin.ModelAdmin, route: str, name: str, view: Callable[..., HttpResponse]) -> URLPattern:
    """A page of a model besides the stock five; its view is given the admin object, the request and the route's parts."""

    def bound(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        return view(modeladmin, request, **kwargs)

    opts = modeladmin.opts
    full = f"{opts.app_label}_{opts.model_name}_{name}"
    return path(route, modeladmin.admin_site.admin_view(bound), name=full)


@dataclass(frozen=True, slots=True)
class Words:
    """The words around a form.

    Attributes:
        title: heading of the page.
        verb: on the button.
        lead: what will happen.
        tone: of the button.
    """

    title: str
    verb: str
    lead: str = ""
    tone: str = "primary"


def form_page(
    modeladmin: admin.ModelAdmin,
    request: HttpRequest,
    form: Any,
    words: Words,
    *,
    back: str,
    crumb: str,
    refusal: DomainError | None = None,
    status: int = 200,
    template: str = "escalation/form.html",
    **more: Any,
) -> HttpResponse:
    """The page that asks for something; None as form shows a refusal alone."""
    context = {
        **modeladmin.admin_site.each_context(request),
        "opts": modeladmin.opts,
        "title": words.title,
        "words": words,
        "form": form,
        "back": back,
        "crumb": crumb,
        "refusal": refusal,
        "request_id": request_id(),
        **more,
    }
    return TemplateResponse(request, template, context, status=status)


def blame(form: Any, refusal: DomainError) -> None:
    """Put what a service refused beside the fields that it names."""
    for name, problems in refusal.fields.items():
        form.add_error(name if name in form.fields else None, problems)
