"""The desk's page, and what it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from apps.chat import live, readings
from apps.chat.binding import TALK, VIEW, called, seen_by
from apps.chat.desk import lists, offers
from apps.chat.desk.context import context_of
from apps.chat.desk.doors import answers
from apps.chat.desk.pane import PLACE, news
from apps.chat.handoff_ratings import MISSING
from apps.chat.models import Conversation
from apps.chat.refusals import BadRequest, ConversationNotFound
from apps.chat.uploads import handed_out, receive, upload_of
from apps.core.models import User
from apps.core.numbers import whole
from apps.core.ratelimit import spend

SCRIPTS = tuple(f"chat/desk{part}.js" for part in ("-base", "-live", "-list", "-talk", "-write", "-side", "-pick", ""))
QUERY = 100
"""Characters of a search."""


def page(request: HttpRequest, public_id: UUID | None = None) -> HttpResponse:
    """The page; which conversation is open stands in its address, what it shows is asked for by its script."""
    if not request.user.has_perm(VIEW):
        raise PermissionDenied
    context = {
        **admin.site.each_context(request),
        "title": "Chat desk",
        "open": public_id or "",
        "may_talk": request.user.has_perm(TALK),
        "missing": MISSING.items(),
        "scripts": SCRIPTS,
    }
    return TemplateResponse(request, "chat/desk.html", context)


def numbered(request: HttpRequest, pk: int) -> HttpResponse:
    """A conversation by its number, as flags and tickets name it; leads to its page."""
    if not isinstance(request.user, User) or not request.user.has_perm(VIEW):
        raise PermissionDenied
    found = Conversation.objects.visible_to(request.user).filter(pk=pk).first()
    if found is None:
        raise ConversationNotFound
    return HttpResponseRedirect(reverse("chat_desk_open", args=[found.public_id]))


@answers("GET")
def listed(user: User, request: HttpRequest) -> Mapping[str, Any]:
    """One of the lists, and how many stand in each."""
    which = request.GET.get("list", "mine")
    rows = lists.chosen(which if which in lists.LISTS else "all", user, request.GET.get("q", "")[:QUERY])
    now = timezone.now()
    return {"rows": lists.lines(rows, user, now), "counts": lists.counts(user), "most": lists.PAGE, "now": now}


@answers("GET")
def opened(user: User, request: HttpRequest, public_id: UUID) -> Mapping[str, Any]:
    """A conversation: events after ``after``, and how it stands. Looking at it is shown to others."""
    conversation, now = seen_by(user, public_id), timezone.now()
    if "look" in request.GET:  # a page without a socket says so here
        live.view(conversation, user_id=user.pk, name=called(user), doing=_doing(request.GET["look"]))
    return news(conversation, user, whole(request.GET.get("after", "0")) or 0, now)


@answers("GET")
def beside(user: User, request: HttpRequest, public_id: UUID) -> Mapping[str, Any]:
    """The customer of a conversation."""
    return context_of(seen_by(user, public_id), user)


@answers("GET")
def canned(user: User, request: HttpRequest, public_id: UUID) -> Mapping[str, Any]:
    """Prepared answers."""
    return {"replies": offers.canned(seen_by(user, public_id), user, request.GET.get("q", "")[:QUERY])}


@answers("GET")
def articles(user: User, request: HttpRequest) -> Mapping[str, Any]:
    """Articles that answer what is asked."""
    return {"articles": offers.articles(user, request.GET.get("q", ""))}


@answers("GET")
def people(user: User, request: HttpRequest, public_id: UUID) -> Mapping[str, Any]:
    """To whom a conversation can be given."""
    return offers.people(seen_by(user, public_id), user)


def file(request: HttpRequest, public_id: UUID, file_id: UUID) -> HttpResponseBase:
    """A file of a conversation, as a download: never shown as a page of ours."""
    user = request.user
    if not isinstance(user, User):
        raise PermissionDenied
    conversation = seen_by(user, public_id)
    answer = handed_out(upload_of(conversation, file_id))
    readings.note(conversation, user, up_to=conversation.seq, place=PLACE, now=timezone.now())
    answer["Cache-Control"] = "private, no-store"
    return answer


@answers("POST")
def send_file(user: User, request: HttpRequest, public_id: UUID) -> Mapping[str, Any]:
    """Send the customer a file: a form with ``file``, ``client_id`` and ``after``."""
    conversation, file, now = seen_by(user, public_id), request.FILES.get("file"), timezone.now()
    try:
        client_id = UUID(request.POST.get("client_id", ""))
    except ValueError:
        raise BadRequest("The client_id is missing.") from None
    if file is None or len(request.FILES) > 1:
        raise BadRequest("The file is missing.")
    spend("chat_files", f"user:{user.pk}")
    receive(conversation_id=conversation.pk, file=file, client_id=client_id, now=now, user=user)
    return news(seen_by(user, public_id), user, whole(request.POST.get("after", "0")) or 0, now)


def _doing(word: str) -> str:
    return "typing" if word == "typing" else "viewing"
