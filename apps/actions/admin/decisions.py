"""Deciding about a card: a page that shows exactly what will happen, and a POST that does it.

Each decision is bound to the version of the card that the page showed. If the card changed meanwhile, nothing is done;
the page comes back with what changed and with the new version, so that the person can decide again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.utils import timezone

from apps.actions import services
from apps.actions.admin.detail import card_context, card_url, find_card
from apps.actions.executors import Executor, executors, offered_actions
from apps.actions.forms import ApproveForm, DismissForm, EscalateForm, NoteForm, RollBackForm, SeenForm
from apps.actions.models import ActionCard, CardEvent
from apps.core.errors import DomainError, request_id
from apps.core.people import user_of

if TYPE_CHECKING:
    from apps.actions.admin.queue import ActionCardAdmin
    from apps.core.models import User

DECIDE, ROLL_BACK = "actions.decide_actioncard", "actions.rollback_actioncard"
Status = ActionCard.Status
WAITING = frozenset({Status.OPEN, Status.FAILED})
# The same note within this time is the same click.
SAME_CLICK = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Step:
    """One kind of decision.

    Attributes:
        verb: the words of its button.
        done: what the message says afterwards.
        statuses: in which it is offered.
        leaves: whether the card leaves the queue by it, so that the next one is shown.
    """

    slug: str
    title: str
    verb: str
    icon: str
    tone: str
    key: str
    permission: str
    form: type[SeenForm]
    run: Callable[[ActionCard, User, Mapping[str, Any]], str]
    statuses: frozenset[str]
    leaves: bool = True
    needs_execution: bool = False

    def fits(self, card: ActionCard) -> bool:
        """Whether the card is in a state in which this is offered."""
        return card.status in self.statuses and (card.can_execute or not self.needs_execution)


def _bound(card: ActionCard, user: User, data: Mapping[str, Any]) -> dict[str, Any]:
    return {"card_id": card.pk, "seen_version": data["seen"], "actor": user}


def _approve(card: ActionCard, user: User, data: Mapping[str, Any]) -> str:
    services.approve(
        **_bound(card, user, data), action=data["action"], message=data.get("message", ""), key=data["key"]
    )
    return f"Approved: {card.target}. It is being done; a failure comes back into the queue."


def _dismiss(card: ActionCard, user: User, data: Mapping[str, Any]) -> str:
    services.dismiss(**_bound(card, user, data), outcome=data["outcome"], reason=data["reason"], key=data["key"])
    return f"Dismissed: {card.target}."


def _escalate(card: ActionCard, user: User, data: Mapping[str, Any]) -> str:
    flag = services.escalate(**_bound(card, user, data), level=data["level"], reason=data["reason"])
    return f"Escalated: {card.target}, as risk flag {flag.pk}, level {flag.get_level_display()}."


@transaction.atomic
def _note(card: ActionCard, user: User, data: Mapping[str, Any]) -> str:
    # The card's row is locked, so that the second click of a double click sees the note that the first one made.
    ActionCard.objects.select_for_update(no_key=True).get(pk=card.pk)
    same = card.events.filter(kind=CardEvent.Kind.NOTE, actor=user, text=data["text"].strip())
    if not same.filter(at__gte=timezone.now() - SAME_CLICK).exists():
        services.add_note(card_id=card.pk, actor=user, text=data["text"])
    return "The note is on the card."


def _roll_back(card: ActionCard, user: User, data: Mapping[str, Any]) -> str:
    services.roll_back(**_bound(card, user, data), reason=data["reason"], key=data["key"])
    return f"Rolling back: {card.target}."


def _retry(card: ActionCard, user: User, data: Mapping[str, Any]) -> str:
    try:
        services.retry(**_bound(card, user, data))
    except services.CardChanged as change:
        # The second click of a double click: what it saw is what the first one set going.
        mine = card.events.filter(card_version=data["seen"] + 1, kind=CardEvent.Kind.APPROVED, actor=user)
        if change.version != data["seen"] + 1 or not mine.exists():
            raise
    return f"Trying again: {card.target}."


STEPS = (
    Step(
        "approve", "Approve", "Approve", "check", "primary", "a", DECIDE, ApproveForm, _approve,
        frozenset({Status.OPEN}), needs_execution=True,
    ),
    Step("retry", "Try again", "Retry", "retry", "primary", "r", DECIDE, SeenForm, _retry, frozenset({Status.FAILED})),
    Step("dismiss", "Dismiss", "Dismiss", "x", "", "d", DECIDE, DismissForm, _dismiss, WAITING),
    Step("escalate", "Escalate", "Escalate", "escalate", "", "e", DECIDE, EscalateForm, _escalate, WAITING),
    Step("note", "Add a note", "Add note", "note", "", "n", DECIDE, NoteForm, _note, frozenset(Status), leaves=False),
    Step(
        "roll-back", "Roll back", "Roll back", "undo", "danger", "b", ROLL_BACK, RollBackForm, _roll_back,
        frozenset({Status.EXECUTED}), leaves=False,
    ),
)  # fmt: skip


def offers(card: ActionCard, step: Step) -> bool:
    """Whether a decision makes sense now; approving also needs an action that can be done here."""
    if not step.fits(card):
        return False
    if step.slug == "roll-back":
        return not card.executions.filter(status__in=["pending", "running"]).exists()
    return not step.needs_execution or bool(offered_actions(card))


def decide(admin: ActionCardAdmin, request: HttpRequest, pk: int, *, step: Step) -> HttpResponse:
    """Show what a decision would do (GET), or take it (POST)."""
    if request.method not in ("GET", "HEAD", "POST"):
        return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
    if not request.user.has_perm(step.permission):
        raise PermissionDenied
    card = find_card(admin, request, pk)
    if request.method == "POST":
        return _take(admin, request, card, step)
    if not offers(card, step):
        return _page(admin, request, card, step, form=None, refusal=_why_not(card, step), status=409)
    return _page(admin, request, card, step, form=_form(card, step))


def _form(card: ActionCard, step: Step, data: QueryDict | None = None, **initial: Any) -> SeenForm:
    if issubclass(step.form, ApproveForm):
        return step.form(data, card=card, actions=offered_actions(card), initial=initial)
    return step.form(data, card=card, initial=initial)


def _take(admin: ActionCardAdmin, request: HttpRequest, card: ActionCard, step: Step) -> HttpResponse:
    form = _form(card, step, request.POST)
    if not form.is_valid():
        return _page(admin, request, card, step, form=form, status=400)
    try:
        words = step.run(card, user_of(request), form.cleaned_data)
    except services.CardChanged as change:
        card = find_card(admin, request, card.pk)
        # What was typed is kept; the version and the key are those of the page that now shows the change.
        typed = {name: value for name, value in form.cleaned_data.items() if name not in ("seen", "key")}
        fresh = _form(card, step, **typed) if offers(card, step) else None
        return _page(
            admin, request, card, step, form=fresh, refusal=change, changes=change.changes, status=change.status
        )
    except DomainError as refusal:
        for name, problems in refusal.fields.items():
            form.add_error(name if name in form.fields else None, problems)
        shown = form if refusal.fields else None
        return _page(
            admin, request, find_card(admin, request, card.pk), step, form=shown, refusal=refusal, status=refusal.status
        )
    messages.success(request, words)
    return HttpResponseRedirect(
        _next(admin, request, card) if step.leaves else card_url(admin, request, "change", card.pk)
    )


class NotOffered(DomainError):
    """The card is in a state in which the decision makes no sense."""

    code = "not_decidable"
    status = 409


def _why_not(card: ActionCard, step: Step) -> DomainError:
    if step.needs_execution and step.fits(card):
        return services.CannotExecute(
            "None of the actions for this card can be done: its store may not be connected. It needs a person's own work."
        )
    if step.needs_execution and not card.can_execute:
        return services.CannotExecute()
    return NotOffered(f"The card is {card.get_status_display().lower()}; “{step.verb}” is not possible now.")


def _page(
    admin: ActionCardAdmin,
    request: HttpRequest,
    card: ActionCard,
    step: Step,
    *,
    form: SeenForm | None,
    refusal: DomainError | None = None,
    changes: Any = None,
    status: int = 200,
) -> HttpResponse:
    context = card_context(admin, request, card, timezone.now()) | {
        "title": f"{step.title}: {card.target}",
        "step": step,
        "form": form,
        "effects": _effects(card, step),
        "refusal": refusal,
        "changes": changes,
        "request_id": request_id(),
        "confidence_percent": round(card.confidence * 100),
    }
    return TemplateResponse(request, "actions/decide.html", context, status=status)


def _effects(card: ActionCard, step: Step) -> list[Executor]:
    """The actions that the page describes: those on offer, or the one that was taken."""
    if step.slug == "approve":
        return offered_actions(card)
    if step.slug not in ("retry", "roll-back"):
        return []
    latest = card.executions.order_by("-created_at").first()
    return [executors[latest.action]] if latest and latest.action in executors else []


def _next(admin: ActionCardAdmin, request: HttpRequest, card: ActionCard) -> str:
    """The next card of the list that the person works through; the list when it was the last."""
    filters = parse_qs(admin.get_preserved_filters(request)).get("_changelist_filters", [""])[0]
    cards = _listed(admin, request, filters)
    after = cards.filter(Q(priority__lt=card.priority) | Q(priority=card.priority, pk__gt=card.pk))
    following = after.values_list("pk", flat=True).first() or cards.values_list("pk", flat=True).first()
    return card_url(admin, request, "change", following) if following else card_url(admin, request, "changelist")


def _listed(admin: ActionCardAdmin, request: HttpRequest, filters: str) -> QuerySet[ActionCard]:
    """The waiting cards that the list with these filters shows, most urgent first."""
    query, request.GET = request.GET, QueryDict(filters)  # the list reads its filters from the request
    try:
        cards = admin.get_changelist_instance(request).queryset
    finally:
        request.GET = query
    return cards.filter(status__in=WAITING).order_by("-priority", "id")
