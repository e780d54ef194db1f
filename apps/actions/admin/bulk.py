"""Dismissing many cards with one reason, each bound to the version that was shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse

from apps.actions import services
from apps.actions.admin.detail import card_url
from apps.actions.forms import BulkDismissForm
from apps.actions.models import ActionCard
from apps.core.errors import DomainError, request_id
from apps.core.people import user_of

if TYPE_CHECKING:
    from apps.actions.admin.queue import ActionCardAdmin

MOST = 500
WAITING = (ActionCard.Status.OPEN, ActionCard.Status.FAILED)


def ask(admin: ActionCardAdmin, request: HttpRequest, queryset: QuerySet[ActionCard]) -> HttpResponse:
    """Show the selected cards and ask for outcome and reason; nothing is done yet."""
    chosen = list(queryset.filter(status__in=WAITING)[: MOST + 1])
    if len(chosen) > MOST:
        messages.error(request, f"At most {MOST} cards are dismissed at once; narrow the filters. (too_many_cards)")
        return HttpResponseRedirect(request.get_full_path())
    if not chosen:
        messages.error(request, "None of the selected cards waits for a decision. (not_decidable)")
        return HttpResponseRedirect(request.get_full_path())
    form = BulkDismissForm(initial={"cards": ",".join(f"{card.pk}:{card.version}" for card in chosen)}, label_suffix="")
    return _page(admin, request, form, chosen)


def bulk_dismiss(admin: ActionCardAdmin, request: HttpRequest) -> HttpResponse:
    """Dismiss the cards of the page that :func:`ask` showed; all of them, or none if one changed meanwhile."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    if not (admin.has_view_permission(request) and admin.has_decide_permission(request)):
        raise PermissionDenied
    form = BulkDismissForm(request.POST, label_suffix="")
    valid = form.is_valid()
    pairs: list[tuple[int, int]] = form.cleaned_data.get("cards", []) if form.is_bound else []
    # Only cards that this person sees; a foreign id in the list is as if it were not there.
    seen = admin.get_queryset(request).in_bulk([pk for pk, _ in pairs[:MOST]])
    if not valid:
        return _page(admin, request, form, list(seen.values()), status=400)
    mine = [(pk, version) for pk, version in pairs[:MOST] if pk in seen]
    try:
        services.bulk_dismiss(
            card_ids_versions=mine,
            actor=user_of(request),
            outcome=form.cleaned_data["outcome"],
            reason=form.cleaned_data["reason"],
        )
    except DomainError as refusal:
        return _refused(admin, request, form, mine, refusal)
    messages.success(request, f"{len(mine)} card{'' if len(mine) == 1 else 's'} dismissed.")
    return HttpResponseRedirect(card_url(admin, request, "changelist"))


def _refused(
    admin: ActionCardAdmin,
    request: HttpRequest,
    form: BulkDismissForm,
    pairs: list[tuple[int, int]],
    refusal: DomainError,
) -> HttpResponse:
    """The page again, with those cards that still wait, in their new versions."""
    versions = dict(pairs)
    cards = list(admin.get_queryset(request).filter(pk__in=versions, status__in=WAITING))
    changed = {card.pk for card in cards if card.version != versions[card.pk]}
    again = BulkDismissForm(
        initial={**form.cleaned_data, "cards": ",".join(f"{card.pk}:{card.version}" for card in cards)}, label_suffix=""
    )
    gone = len(pairs) - len(cards)
    return _page(admin, request, again, cards, refusal=refusal, changed=changed, gone=gone, status=refusal.status)


def _page(
    admin: ActionCardAdmin,
    request: HttpRequest,
    form: BulkDismissForm,
    cards: list[ActionCard],
    status: int = 200,
    **more: Any,
) -> HttpResponse:
    context = {
        **admin.admin_site.each_context(request),
        "title": f"Dismiss {len(cards)} card{'' if len(cards) == 1 else 's'}",
        "form": form,
        "cards": cards,
        "queue_url": card_url(admin, request, "changelist"),
        "action_url": card_url(admin, request, "bulk_dismiss"),
        "request_id": request_id(),
        **more,
    }
    return TemplateResponse(request, "actions/bulk.html", context, status=status)
