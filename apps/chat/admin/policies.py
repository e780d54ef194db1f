"""How long what is kept, and what the pilot has to reach: each edited by making a new version."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils import timezone

from apps.chat import retention
from apps.chat.admin.figures import figures_view
from apps.chat.models import ChatPolicyVersion
from apps.chat.policies import RETENTION, Policy, in_force, new_version, policies
from apps.core.asking import page, person
from apps.core.thresholds import ThresholdForm
from apps.core.versions_admin import SettingsVersionAdmin


@admin.register(ChatPolicyVersion)
class ChatPolicyVersionAdmin(SettingsVersionAdmin):
    """Policies of the chat and their versions."""

    rules = policies
    page_name = "chat_policy"
    page_template = "chat/policy.html"
    runs = "In force"

    def get_urls(self) -> list[URLPattern]:
        return [page(self, "figures/", "figures", figures_view), *super().get_urls()]

    def make(self, request: HttpRequest, rule: Policy, form: ThresholdForm) -> ChatPolicyVersion:
        """Make the next version."""
        return new_version(
            slug=rule.slug, settings=form.values(), reason=form.cleaned_data["reason"], actor=person(request)
        )

    def more(self, request: HttpRequest, rule: Policy) -> dict[str, Any]:
        """What is past its window now, for the retention."""
        return {"due": retention.preview(now=timezone.now())} if rule == RETENTION else {}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Both policies."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": "Chat policies",
            "opts": self.opts,
            "policies": [(policy, *in_force(policy)) for policy in policies],
        }
        return TemplateResponse(request, "chat/policies.html", context)
