"""Raising a flag: the first click opens the form, filled from what it is raised from; the second one raises it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone

from apps.core.asking import Question, Words, ask
from apps.core.models import Scope, User
from apps.core.people import user_of
from apps.core.scope import scopes_of, sees_every_scope
from apps.escalation import flags, levels
from apps.escalation.admin.flag_page import flag_url
from apps.escalation.admin.shared import masked_words, source_url, source_words
from apps.escalation.details import RAISE
from apps.escalation.forms import RaiseForm
from apps.escalation.models import FlagEvent, RiskFlag
from apps.escalation.origins import Origin, find_origin, tell_origin

if TYPE_CHECKING:
    from apps.escalation.admin.flags import RiskFlagAdmin

BY_HAND = "desk"
WORDS = Words(
    "Raise a risk flag", "Raise flag", "The level decides who is told, and how soon. You can add details later."
)


def raise_page(modeladmin: RiskFlagAdmin, request: HttpRequest) -> HttpResponse:
    """Show the form (GET), or raise the flag (POST)."""
    if request.method not in ("GET", "HEAD", "POST"):
        return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
    user = user_of(request)
    if not (modeladmin.has_view_permission(request) and user.has_perm(RAISE)):
        raise PermissionDenied
    source = (request.POST if request.method == "POST" else request.GET).get("source", "")
    origin = find_origin(source, user)
    if origin is None and not _is_by_hand(source):
        if source:
            messages.warning(
                request, "What the link names cannot be found, or is not yours to see. This flag will stand alone."
            )
        source = f"{BY_HAND}:{uuid4()}"
    before = RiskFlag.objects.visible_to(user).open().filter(source=source).first() if origin else None
    if before and request.method != "POST":
        messages.info(request, "A flag was raised from it before; this is the flag.")
        return HttpResponseRedirect(flag_url(before))
    raised: list[RiskFlag] = []

    def run(form: RaiseForm) -> str:
        flag = _raise(form, user, source, origin)
        raised.append(flag)
        _say_masked(request, flag)
        return f"Raised: {flag.title}, level {flag.get_level_display()}."

    back = source_url(source) or reverse("admin:escalation_riskflag_board")
    question = Question(
        WORDS, lambda data, files: _form(data, user, source, origin), run, lambda: flag_url(raised[0]), back,
        source_words(source) if origin else "Board", "escalation/raise.html",
        {"origin": source_words(source) if origin else ""},
    )  # fmt: skip
    return ask(modeladmin, request, question)


def _say_masked(request: HttpRequest, flag: RiskFlag) -> None:
    """Tell the writer what was taken out of the text, so that they do not look for it later."""
    first = flag.events.filter(kind=FlagEvent.Kind.RAISED).first()
    masked = masked_words(first.data.get("masked", ())) if first else ""
    if masked:
        messages.info(request, f"Masked before it was kept: {masked}.")


def _is_by_hand(source: str) -> bool:
    """Whether a source is one that an earlier form of this page made: a second click carries it again."""
    kind, _, key = source.partition(":")
    return kind == BY_HAND and len(key) == 36 and key.replace("-", "").isalnum()


def _form(data: Any, user: User, source: str, origin: Origin | None) -> RaiseForm:
    scopes = None
    if origin is None:
        scopes = Scope.objects.all() if sees_every_scope(user) else Scope.objects.filter(pk__in=scopes_of(user))
    facts = {"source": source, "level": RiskFlag.Level.MEDIUM, **(origin.facts if origin else {})}
    return RaiseForm(data, protocol=levels.in_force(), scopes=scopes, initial=facts)


@transaction.atomic
def _raise(form: RaiseForm, user: User, source: str, origin: Origin | None) -> RiskFlag:
    now, given = timezone.now(), dict(form.cleaned_data)
    given.pop("source")
    scope = given.pop("scope", None)
    flag = flags.raise_flag(
        **given, source=source, scope=origin.scope if origin else scope, raised_by=user, now=now,
        evidence=origin.evidence if origin else (), references=origin.references if origin else (),
    )  # fmt: skip
    if origin:
        tell_origin(flag, user, now)
    return flag
