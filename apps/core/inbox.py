"""The inbox: a person's own news, and which of it also comes by e-mail."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.core.models import Notification, NotificationSetting, User
from apps.core.notifications import KINDS

_PER_PAGE = 50


def _person(request: HttpRequest) -> User:
    """The person behind a request that passed ``login_required``."""
    assert isinstance(request.user, User)
    return request.user


def _page(request: HttpRequest, template: str, title: str, **context: Any) -> HttpResponse:
    return render(request, template, {**admin.site.each_context(request), "title": title, **context})


@login_required
@require_GET
def inbox(request: HttpRequest) -> HttpResponse:
    """All news of this person, or the unread only (``?unread=1``), newest first."""
    mine = Notification.objects.visible_to(_person(request))
    shown = mine.unread() if request.GET.get("unread") else mine
    page = Paginator(shown, _PER_PAGE).get_page(request.GET.get("page"))
    only_unread = bool(request.GET.get("unread"))
    return _page(request, "core/inbox.html", "Inbox", page=page, unread=mine.unread().count(), only_unread=only_unread)


@login_required
@require_POST
def mark_read(request: HttpRequest, pk: int) -> HttpResponse:
    """Mark one as read and go to where it points. Somebody else's is not found."""
    news = get_object_or_404(Notification.objects.visible_to(_person(request)), pk=pk)
    if news.read_at is None:
        news.read_at = timezone.now()
        news.save(update_fields=["read_at"])
    safe = url_has_allowed_host_and_scheme(news.url, allowed_hosts=None)
    follow = bool(request.POST.get("open")) and safe
    return HttpResponseRedirect(news.url if follow else reverse("inbox"))


@login_required
@require_POST
def mark_all_read(request: HttpRequest) -> HttpResponse:
    """Mark all of this person's news as read."""
    count = Notification.objects.visible_to(_person(request)).unread().update(read_at=timezone.now())
    messages.success(request, f"{count} marked as read.")
    return HttpResponseRedirect(reverse("inbox"))


@login_required
@require_http_methods(["GET", "POST"])
def inbox_settings(request: HttpRequest) -> HttpResponse:
    """Which kinds of news also come by e-mail. The inbox gets all of them."""
    person = _person(request)
    if request.method == "POST":
        wanted = set(request.POST.getlist("email"))
        for kind in KINDS:
            # One by one, not in bulk: the audit trail sees saves only.
            NotificationSetting.objects.update_or_create(user=person, kind=kind, defaults={"email": kind in wanted})
        messages.success(request, "Saved.")
        return HttpResponseRedirect(reverse("inbox_settings"))
    off = set(NotificationSetting.objects.filter(user=person, email=False).values_list("kind", flat=True))
    kinds = [(kind, title, kind not in off) for kind, title in KINDS.items()]
    return _page(request, "core/inbox_settings.html", "News by e-mail", kinds=kinds)
