"""Asking before something is done: a GET that shows what will happen, and a POST that does it.

A change is bound to the version that the page showed. If the row changed meanwhile, nothing is done; the page comes back
with what was typed and with the new version, so that the person can decide again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect

from apps.core.errors import DomainError
from apps.core.models import User
from apps.escalation.admin.shared import Words, blame, form_page
from apps.escalation.binding import FlagChanged
from apps.escalation.phrases import PhraseChanged
from apps.escalation.proposals import ProposalChanged
from apps.escalation.ticket_binding import TicketChanged

METHODS = ["GET", "HEAD", "POST"]
CHANGED = (FlagChanged, TicketChanged, ProposalChanged, PhraseChanged)


@dataclass(frozen=True)
class Question:
    """What is asked about a row.

    Attributes:
        make: builds the form, given what was sent (or None).
        run: does it, given the valid form, and says in words what was done.
        url: where the person gets afterwards.
        crumb: how the row is called.
        more: what the template shows of the row.
    """

    words: Words
    make: Callable[[Any], Any]
    run: Callable[[Any], str]
    url: str
    crumb: str
    template: str = "escalation/form.html"
    more: dict[str, Any] = field(default_factory=dict)


def person(request: HttpRequest) -> User:
    """Who asks; the admin site lets staff in only."""
    return request.user  # type: ignore[return-value]


def ask(modeladmin: admin.ModelAdmin, request: HttpRequest, question: Question) -> HttpResponse:
    """Ask (GET), or do it (POST)."""
    if request.method not in METHODS:
        return HttpResponseNotAllowed(METHODS)
    if request.method != "POST":
        return show(modeladmin, request, question, question.make(None))
    form = question.make(request.POST)
    if not form.is_valid():
        return show(modeladmin, request, question, form, status=400)
    try:
        done = question.run(form)
    except CHANGED as change:
        data = request.POST.copy()
        data["seen"] = str(change.version)
        return show(modeladmin, request, question, question.make(data), change)
    except DomainError as refusal:
        blame(form, refusal)
        return show(modeladmin, request, question, form, refusal)
    messages.success(request, done)
    return HttpResponseRedirect(question.url)


def show(
    modeladmin: admin.ModelAdmin,
    request: HttpRequest,
    question: Question,
    form: Any,
    refusal: DomainError | None = None,
    status: int = 200,
) -> HttpResponse:
    """The page of a question; with a refusal, its status."""
    return form_page(
        modeladmin, request, form, question.words, back=question.url, crumb=question.crumb, refusal=refusal,
        status=refusal.status if refusal else status, template=question.template, **question.more,
    )  # fmt: skip
