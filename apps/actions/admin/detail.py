"""The page of one card: six sections, the timeline, and what was done."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from apps.actions.executors import executors
from apps.actions.freshness import freshness, last_good_runs
from apps.actions.home import ICONS
from apps.actions.models import ActionCard, CardEvent, Execution
from apps.actions.rules import rules
from apps.core.admin import page_of
from apps.core.facts import evidence
from apps.core.home import address
from apps.core.numbers import whole

if TYPE_CHECKING:
    from apps.actions.admin.queue import ActionCardAdmin

TONES = {
    CardEvent.Kind.OPENED: "",
    CardEvent.Kind.UPDATED: "muted",
    CardEvent.Kind.RAISED: "warn",
    CardEvent.Kind.RESOLVED: "ok",
    CardEvent.Kind.EXECUTED: "ok",
    CardEvent.Kind.FAILED: "bad",
    CardEvent.Kind.ESCALATED: "warn",
    CardEvent.Kind.ROLLED_BACK: "warn",
}
STATUS_TONES = {
    ActionCard.Status.OPEN: "info",
    ActionCard.Status.EXECUTING: "info",
    ActionCard.Status.FAILED: "bad",
    ActionCard.Status.EXECUTED: "ok",
    ActionCard.Status.ESCALATED: "warn",
    ActionCard.Status.RESOLVED: "ok",
}
EXECUTION_TONES = {
    Execution.Status.PENDING: "info",
    Execution.Status.RUNNING: "info",
    Execution.Status.SUCCEEDED: "ok",
    Execution.Status.FAILED: "bad",
}


def find_card(admin: ActionCardAdmin, request: HttpRequest, pk: str | int) -> ActionCard:
    """The card, if this person may see it.

    Raises:
        Http404: there is none, or it is outside the person's scope; which of the two is not told.
        PermissionDenied: the person's role does not include cards.
    """
    if not admin.has_view_permission(request):
        raise PermissionDenied
    cards = admin.get_queryset(request).select_related("rule_version", "scope", "decided_by")
    key = whole(str(pk))
    card = None if key is None else cards.filter(pk=key).first()
    if card is None:
        raise Http404
    return card


def card_url(admin: ActionCardAdmin, request: HttpRequest, page: str, *args: Any) -> str:
    """The address of one of the queue's pages, keeping the filters of the list that the person came from."""
    url = reverse(f"admin:actions_actioncard_{page}", args=args)
    filters = admin.get_preserved_filters(request)
    return add_preserved_filters({"preserved_filters": filters, "opts": admin.opts}, url)


def card_context(admin: ActionCardAdmin, request: HttpRequest, card: ActionCard, now: datetime) -> dict[str, Any]:
    """What every page about a card shows of it."""
    return {
        **admin.admin_site.each_context(request),
        "opts": admin.opts,
        "card": card,
        "now": now,
        "card_icon": ICONS.get(ActionCard.Kind(card.kind), "alert"),
        "status_tone": STATUS_TONES.get(ActionCard.Status(card.status), "muted"),
        "rule": next((rule for rule in rules if rule.slug == card.rule), None),
        "queue_url": card_url(admin, request, "changelist"),
        "card_url": card_url(admin, request, "change", card.pk),
    }


def offered(admin: ActionCardAdmin, request: HttpRequest, card: ActionCard) -> list[dict[str, Any]]:
    """The decisions that this person may take about this card now."""
    from apps.actions.admin.decisions import STEPS, offers  # decisions show cards, too

    return [
        {"step": step, "url": card_url(admin, request, step.slug.replace("-", "_"), card.pk)}
        for step in STEPS
        if request.user.has_perm(step.permission) and offers(card, step)
    ]


def card_page(admin: ActionCardAdmin, request: HttpRequest, pk: str) -> HttpResponse:
    """Show a card."""
    card = find_card(admin, request, pk)
    now = timezone.now()
    events = [
        (event, TONES.get(CardEvent.Kind(event.kind), ""))
        for event in card.events.select_related("actor").order_by("-at", "-id")
    ]
    executions = [
        (execution, EXECUTION_TONES[Execution.Status(execution.status)], action_title(execution.action))
        for execution in card.executions.select_related("requested_by")
    ]
    last_good = last_good_runs([card.rule])
    steps = offered(admin, request, card)
    context = card_context(admin, request, card, now) | {
        "title": card.target,
        "steps": steps,
        "approvable": any(offer["step"].slug == "approve" for offer in steps),
        "may_decide": request.user.has_perm("actions.decide_actioncard"),
        "evidence": evidence(card.evidence),
        "checked_at": last_good.get(card.rule),
        "freshness": freshness(card, now=now, last_good=last_good),
        "subject_url": page_of(card.subject),
        "events": [pair for pair in events if not _is_note(pair[0])],
        "notes": [event for event, _ in events if _is_note(event)],
        "flag_url": _flag_url(events),
        "executions": executions,
        "confidence_percent": round(card.confidence * 100),
        "rule_url": _rule_url(card),
        "media": admin.media,
    }
    return TemplateResponse(request, "actions/card.html", context)


def action_title(slug: str) -> str:
    """An action's title; its slug where it is no longer installed."""
    return executors[slug].title if slug in executors else slug


def _is_note(event: CardEvent) -> bool:
    """Whether a person wrote it; a rollback that was asked for is of the same kind, and belongs to the timeline."""
    return event.kind == CardEvent.Kind.NOTE and "execution" not in event.data


def _flag_url(events: list[tuple[CardEvent, str]]) -> str:
    """The page of the risk flag that the card was escalated to."""
    flag = next((event.data["flag"] for event, _ in events if event.data.get("flag")), None)
    return address("admin:escalation_riskflag_change", flag) if flag else ""


def _rule_url(card: ActionCard) -> str:
    return (
        f"{reverse('admin:actions_rule', args=[card.rule])}#v{card.rule_version.number}" if card.rule in rules else ""
    )
