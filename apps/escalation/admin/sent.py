"""News to other systems: where it goes, what went, and what was given up."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin import ReadOnlyAdmin
from apps.core.asking import page, person, press
from apps.core.templatetags.desk import badge
from apps.escalation import outgoing
from apps.escalation.admin.setup import Undeletable
from apps.escalation.admin.shared import when
from apps.escalation.models import Endpoint, OutgoingNews

TONES = {"pending": "info", "sent": "ok", "dead": "bad"}


PROBLEMS = {
    "not_https": "It must begin with https://.",
    "not_an_address": "It is no address.",
    "credentials_in_address": "An address must not hold a user name or a password.",
    "private_address": "This machine and private networks are no place to send to.",
}


class EndpointForm(forms.ModelForm):
    """An endpoint. Its secret is entered, never shown."""

    secret = forms.CharField(
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"}),
        required=False,
        max_length=500,
        help_text="Signs each delivery. Empty: the one that is there stays.",
    )

    class Meta:
        model = Endpoint
        fields = ["name", "url", "secret", "kinds", "active"]

    def clean_url(self) -> str:
        """An address that news can be sent to."""
        url: str = self.cleaned_data["url"]
        if problem := outgoing.unusable(url):
            raise forms.ValidationError(PROBLEMS[problem], code=problem)
        return url

    def clean_secret(self) -> str:
        """What was entered, or what is there."""
        given: str = self.cleaned_data["secret"]
        if not given and not self.instance.pk:
            raise forms.ValidationError("An endpoint needs a secret.")
        return given or self.instance.secret


@admin.register(Endpoint)
class EndpointAdmin(Undeletable):
    """Where news of flags and tickets goes."""

    form = EndpointForm
    list_display = ["name", "address", "active"]

    @admin.display(description="address")
    def address(self, endpoint: Endpoint) -> str:
        """The host; the rest may be a secret."""
        return outgoing.masked(endpoint.url)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return ["address"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Who may only look never sees the secret."""
        may = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        return ["name", "url", "secret", "kinds", "active"] if may else ["name", "address", "kinds", "active"]


@admin.register(OutgoingNews)
class OutgoingNewsAdmin(ReadOnlyAdmin):
    """What went out; the dead letters are those that were given up, each with its reason."""

    list_display = ["kind", "endpoint", "state", "attempts", "problem", "made", "went"]
    list_filter = ["status", "endpoint"]
    list_select_related = ["endpoint"]
    list_per_page = 50
    show_full_result_count = False
    sortable_by: ClassVar[list[str]] = []
    actions = ["send_again"]
    change_form_template = "escalation/sent.html"
    fields: ClassVar[list[Any]] = [
        "id", "kind", "endpoint", "state", "attempts", "last_error", "body", "created_at", "next_attempt_at", "sent_at",
    ]  # fmt: skip

    @admin.display(description="status")
    def state(self, news: OutgoingNews) -> SafeString:
        return badge(TONES[news.status], news.get_status_display())

    @admin.display(description="last error")
    def problem(self, news: OutgoingNews) -> SafeString:
        return format_html('<span class="clip" title="{0}">{0}</span>', news.last_error)

    @admin.display(description="made")
    def made(self, news: OutgoingNews) -> SafeString:
        return when(news.created_at)

    @admin.display(description="sent")
    def went(self, news: OutgoingNews) -> SafeString:
        return when(news.sent_at)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(outgoing.MANAGE)

    def get_urls(self) -> list[URLPattern]:
        return [page(self, "<uuid:pk>/again/", "again", again), *super().get_urls()]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], add: bool = False, change: bool = False, form_url: str = "",
        obj: OutgoingNews | None = None,
    ) -> HttpResponse:  # fmt: skip
        given_up = obj is not None and obj.status == OutgoingNews.Status.DEAD
        context["may_send_again"] = given_up and self.has_replay_permission(request)
        return super().render_change_form(request, context, add, change, form_url, obj)

    @admin.action(description="Send given up news again", permissions=["replay"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[OutgoingNews]) -> None:
        ids = list(queryset.values_list("pk", flat=True))
        count = outgoing.replay(news_ids=ids, actor=person(request), now=timezone.now())
        self.message_user(request, f"{count} of {len(ids)} will be sent again; only given up news is.")


def again(modeladmin: OutgoingNewsAdmin, request: HttpRequest, pk: UUID) -> HttpResponse:
    """Send one piece of news that was given up once more, from its own page."""
    if not (modeladmin.has_view_permission(request) and modeladmin.has_replay_permission(request)):
        raise PermissionDenied

    def run() -> str:
        sent = outgoing.replay(news_ids=[pk], actor=person(request), now=timezone.now())
        return "It will be sent again." if sent else "It was not given up any more; nothing was done."

    return press(request, run, reverse("admin:escalation_outgoingnews_change", args=[pk]))
