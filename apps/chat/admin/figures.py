"""How the chat does, and whether the pilot is passed."""

from __future__ import annotations

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from apps.chat.kpis import pilot_now
from apps.core import home
from apps.core.asking import person

VIEW = "chat.view_rating"

home.link(
    group="Trail",
    title="Chat figures",
    icon="chart",
    url_name="admin:chat_chatpolicyversion_figures",
    permission=VIEW,
    order=60,
)


def figures_view(modeladmin: admin.ModelAdmin, request: HttpRequest) -> HttpResponse:
    """The figures of the pilot's period, each against its threshold."""
    if not request.user.has_perm(VIEW):
        raise PermissionDenied
    now = timezone.now()
    found, verdicts, pilot = pilot_now(user=person(request), now=now)
    context = {
        **modeladmin.admin_site.each_context(request),
        "title": "Chat figures",
        "opts": modeladmin.opts,
        "found": found,
        "verdicts": verdicts,
        "pilot": pilot,
        "now": now,
    }
    return TemplateResponse(request, "chat/figures.html", context)
