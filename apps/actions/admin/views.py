"""Saved views: a person's named sets of queue filters, shown as tabs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404
from django.urls import reverse

from apps.actions.admin.filters import WAITING
from apps.actions.models import SavedView

if TYPE_CHECKING:
    from apps.actions.admin.queue import ActionCardAdmin

# What a view keeps: filters, search and order. The page's number and messages are of the moment.
KEPT = ("status", "kind__exact", "risk_tier__exact", "scope", "impact", "age", "q", "o")


def normal(query: str) -> str:
    """A query string with only what a view keeps, in a fixed order, so that equal views have equal text."""
    values = QueryDict(query)
    kept = QueryDict(mutable=True)
    for name in KEPT:
        value = values.get(name, "").replace("\0", "")
        if value and (name, value) != ("status", WAITING):
            kept[name] = value
    return kept.urlencode()


def tabs(request: HttpRequest) -> dict[str, Any]:
    """The tabs above the queue, the one that is shown marked."""
    here = normal(request.GET.urlencode())
    saved = list(SavedView.objects.filter(user_id=int(request.user.pk or 0)))
    current = next((view for view in saved if view.query == here), None)
    return {"saved_views": saved, "current_view": current, "view_query": here, "is_default_view": not here}


def save_view(admin: ActionCardAdmin, request: HttpRequest) -> HttpResponse:
    """Keep the filters under a name; the same name again replaces its filters."""
    _check(admin, request)
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    name = request.POST.get("name", "").replace("\0", "").strip()[:60]
    query = normal(request.POST.get("query", ""))
    if not name:
        messages.error(request, "Give the view a name. (name_missing)")
    elif len(query) > 500:
        messages.error(request, "These filters are too long to keep; shorten the search. (view_too_long)")
    else:
        SavedView.objects.update_or_create(user_id=int(request.user.pk or 0), name=name, defaults={"query": query})
        messages.success(request, f"The view “{name}” is kept.")
    return _back(query)


def delete_view(admin: ActionCardAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Remove one of the person's own views; nobody else's can be named."""
    _check(admin, request)
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    view = get_object_or_404(SavedView, pk=pk, user_id=int(request.user.pk or 0))
    view.delete()
    messages.success(request, f"The view “{view.name}” is removed.")
    return _back("")


def _check(admin: ActionCardAdmin, request: HttpRequest) -> None:
    if not admin.has_view_permission(request):
        raise PermissionDenied


def _back(query: str) -> HttpResponse:
    url = reverse("admin:actions_actioncard_changelist")
    return HttpResponseRedirect(f"{url}?{query}" if query else url)
