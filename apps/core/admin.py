"""Admin pages for people, scopes and the trail, and the admin classes that every app uses."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from auditlog.admin import LogEntryAdmin
from auditlog.models import LogEntry
from django import forms
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.widgets import FilteredSelectMultiple
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.core.checks import CheckMessage, Error
from django.core.exceptions import BadRequest, ValidationError
from django.db.models import ForeignKey, Model, QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString
from django_celery_beat import admin as _beat_admin  # noqa: F401  # registers what is replaced below
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule

from apps.core import exports, tokens
from apps.core.filters import DecisionScopeFilter
from apps.core.home import address
from apps.core.models import ApiToken, Decision, DecisionText, Delivery, Scope, User
from apps.core.people import user_of
from apps.core.scope import grant_changes, groups_granted, people_granted, scopes_of, sees_every_scope, set_grants
from apps.core.templatetags.desk import badge


class ScopedAdmin(admin.ModelAdmin):
    """Rows come through ``visible_to``, and each object is checked against it (Django checks the model only).

    The manager of the model must have ``visible_to(user)``. Choices of foreign keys are narrowed in the same way, so a
    row cannot be moved to where its editor sees nothing.
    """

    @classmethod
    def narrow(cls, queryset: QuerySet[Any], user: User) -> QuerySet[Any]:
        """What of a queryset a person may see; scopes themselves by their grants."""
        if queryset.model is Scope:
            return queryset if sees_every_scope(user) else queryset.filter(pk__in=scopes_of(user).values("pk"))
        visible_to = getattr(queryset, "visible_to", None)
        return visible_to(user) if visible_to else queryset

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return self.narrow(super().get_queryset(request), user_of(request))

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[Any], *args: Any, **kwargs: Any
    ) -> HttpResponse | None:
        """Django filters by whatever was sent as keys; what cannot be one is a bad request."""
        try:
            for key in request.POST.getlist(ACTION_CHECKBOX_NAME):
                self.opts.pk.to_python(key)
        except ValidationError:
            raise BadRequest("A selected row cannot be read.") from None
        return super().response_action(request, queryset, *args, **kwargs)

    def _in_scope(self, request: HttpRequest, obj: Model | None) -> bool:
        if obj is None or obj.pk is None:
            return True
        # One page asks several times about the same row, so the answer is kept for the request.
        answers: dict[tuple[str, Any], bool] = request.__dict__.setdefault("_objects_in_scope", {})
        key = (self.opts.label, obj.pk)
        if key not in answers:
            manager = self.model._default_manager
            answers[key] = self.narrow(manager.all(), user_of(request)).filter(pk=obj.pk).exists()
        return answers[key]

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_view_permission(request, obj) and self._in_scope(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_change_permission(request, obj) and self._in_scope(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_delete_permission(request, obj) and self._in_scope(request, obj)

    def formfield_for_foreignkey(
        self, db_field: ForeignKey, request: HttpRequest, **kwargs: Any
    ) -> forms.ModelChoiceField | None:
        if "queryset" not in kwargs:
            kwargs["queryset"] = self.narrow(db_field.remote_field.model._default_manager.all(), user_of(request))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        found = super().check(**kwargs)
        if self.model is not Scope and not hasattr(self.model._default_manager.all(), "visible_to"):
            found.append(Error("A scoped admin needs a manager with visible_to(user).", obj=type(self), id="core.E002"))
        return found


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows that nobody edits. Combine with :class:`ScopedAdmin` (first) where they have a scope."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(User)
class PersonAdmin(UserAdmin):
    """People and their roles. Only a superuser makes superusers or touches one."""

    list_display = ["username", "email", "first_name", "last_name", "is_active", "is_staff", "roles", "last_login"]
    list_filter = ["is_active", "is_staff", "groups"]
    list_select_related = False
    add_fieldsets = [
        (None, {"classes": ["wide"], "fields": ["username", "email", "usable_password", "password1", "password2"]})
    ]
    fieldsets = [
        (None, {"fields": ["username", "password"]}),
        ("Person", {"fields": ["first_name", "last_name", "email"]}),
        ("Roles", {"fields": ["is_active", "is_staff", "groups"]}),
        ("Dates", {"fields": ["last_login", "date_joined"]}),
    ]
    readonly_fields = ["last_login", "date_joined"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    @admin.display(description="roles")
    def roles(self, person: User) -> str:
        return ", ".join(sorted(group.name for group in person.groups.all()))

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and self._may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """People who did something are made inactive, never deleted: the trail names them, and it cannot be changed."""
        if not (super().has_delete_permission(request, obj) and self._may_touch(request, obj)):
            return False
        return obj is None or not (obj.decisions.exists() or LogEntry.objects.filter(actor=obj).exists())

    def _may_touch(self, request: HttpRequest, obj: User | None) -> bool:
        return obj is None or not obj.is_superuser or bool(request.user.is_superuser)


admin.site.unregister(Group)


@admin.register(Group)
class RoleAdmin(ReadOnlyAdmin, GroupAdmin):
    """Roles, to look at: their permissions are kept in code."""


class ScopeForm(forms.ModelForm):
    """A scope and who works in it."""

    people = forms.ModelMultipleChoiceField(
        User.objects.filter(is_active=True).order_by("username"),
        required=False,
        widget=FilteredSelectMultiple("people", is_stacked=False),
        help_text="They see and work on what belongs to this scope.",
    )
    groups = forms.ModelMultipleChoiceField(
        Group.objects.order_by("name"), required=False, help_text="Everybody with one of these roles does, too."
    )

    class Meta:
        model = Scope
        fields = ["name", "slug"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and "people" in self.fields:
            self.fields["people"].initial = people_granted(self.instance)
            self.fields["groups"].initial = groups_granted(self.instance)


@admin.register(Scope)
class ScopeAdmin(ScopedAdmin):
    """Stores and teams, and who works in them."""

    form = ScopeForm
    list_display = ["name", "slug", "people_count"]
    search_fields = ["name", "slug"]
    prepopulated_fields = {"slug": ["name"]}
    fields = ["name", "slug", "people", "groups"]

    @admin.display(description="people")
    def people_count(self, scope: Scope) -> int:
        return people_granted(scope).count()

    def get_fields(self, request: HttpRequest, obj: Scope | None = None) -> list[Any]:
        may_change = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        return ["name", "slug", "people", "groups"] if may_change else ["name", "slug", "who"]

    def get_readonly_fields(self, request: HttpRequest, obj: Scope | None = None) -> list[Any]:
        return ["who"]

    @admin.display(description="who works in it")
    def who(self, scope: Scope) -> str:
        names = [*(str(group) for group in groups_granted(scope)), *(str(person) for person in people_granted(scope))]
        return ", ".join(names) or "nobody but those who see every scope"

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        changes = grant_changes(form.instance, form.cleaned_data["people"], form.cleaned_data["groups"])
        set_grants(form.instance, changes, actor=user_of(request))


# Where a subject's kind has a page.
SUBJECT_PAGES = {
    "action_card": "admin:actions_actioncard_change",
    "order": "admin:orders_order_change",
    "customer": "admin:orders_customer_change",
    "product": "admin:orders_product_change",
    "fulfillment": "admin:orders_fulfillment_change",
    "refund": "admin:orders_refund_change",
    "store": "admin:orders_store_change",
    "scope": "admin:core_scope_change",
    "risk_flag": "admin:escalation_riskflag_change",
    "ticket": "admin:escalation_ticket_change",
    "subscription": "admin:subscriptions_subscription_change",
    "risk": "admin:register_risk_change",
    "risk_assessment": "admin:register_riskassessment_change",
    "mitigation": "admin:register_mitigation_change",
    "control": "admin:register_control_change",
    "incident": "admin:register_incident_change",
    "register_review": "admin:register_registerreview_change",
    "matrix": "admin:register_matrix_change",
    "article": "admin:knowledge_article_change",
    "article_version": "admin:knowledge_articleversion_change",
    "gap": "admin:knowledge_gap_change",
}
_KEY = re.compile(r"[0-9]{1,18}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def page_of(subject: str) -> str:
    """The page of a subject such as ``action_card:17``; empty where there is none."""
    kind, _, key = subject.partition(":")
    return address(SUBJECT_PAGES[kind], key) if kind in SUBJECT_PAGES and _KEY.fullmatch(key) else ""


class DecisionTextInline(admin.StackedInline):
    model = DecisionText
    fields = ["rationale", "details", "erased_at"]
    can_delete = False
    verbose_name_plural = "Text (can be erased; the chain stays whole)"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("core.view_decision")


@admin.register(Decision)
class DecisionAdmin(ReadOnlyAdmin):
    """The decision log, to read, search and export."""

    list_display = ["seq", "at", "scope", "actor_name", "action", "subject_link", "why"]
    list_filter = [DecisionScopeFilter, "at"]
    list_select_related = ["actor", "text"]
    list_per_page = 50
    show_full_result_count = False
    search_fields = ["subject__startswith", "action__startswith", "actor_label__exact", "actor__username__exact"]
    search_help_text = "Subject (action_card:17), action or actor"
    inlines = [DecisionTextInline]
    actions = ["export_json", "export_csv"]
    fields = [
        "seq", "at", "scope", "actor_name", "action", "subject_link", "evidence_link", "facts", "text_digest", "prev_hash", "hash",
    ]  # fmt: skip

    @admin.display(description="actor", ordering="actor_label")
    def actor_name(self, decision: Decision) -> str:
        return decision.actor_name

    @admin.display(description="subject", ordering="subject")
    def subject_link(self, decision: Decision) -> SafeString | str:
        url = page_of(decision.subject)
        return format_html('<a href="{}">{}</a>', url, decision.subject) if url else decision.subject

    @admin.display(description="why")
    def why(self, decision: Decision) -> SafeString:
        return format_html('<span class="clip" title="{0}">{0}</span>', decision.rationale)

    @admin.display(description="evidence")
    def evidence_link(self, decision: Decision) -> SafeString | str:
        url = decision.evidence_url
        # Only a path of this site: what was recorded may have come from elsewhere.
        return format_html('<a href="{0}">{0}</a>', url) if url_has_allowed_host_and_scheme(url, None) else url

    @admin.display(description="facts")
    def facts(self, decision: Decision) -> SafeString:
        return format_html('<pre class="code">{}</pre>', json.dumps(decision.payload, indent=2, ensure_ascii=False))

    @admin.action(description="Export as JSON lines", permissions=["view"])
    def export_json(self, request: HttpRequest, queryset: QuerySet[Decision]) -> StreamingHttpResponse:
        return exports.as_json(queryset.select_related("actor", "text"))

    @admin.action(description="Export as CSV", permissions=["view"])
    def export_csv(self, request: HttpRequest, queryset: QuerySet[Decision]) -> StreamingHttpResponse:
        return exports.as_csv(queryset.select_related("actor", "text"))


@admin.register(ApiToken)
class TokenAdmin(admin.ModelAdmin):
    """API tokens: what lets programs in, for whom and until when. Deleting one revokes it."""

    list_display = ["name", "user", "token_key", "created", "expiry", "last_used_at"]
    list_filter = ["expiry"]
    list_select_related = ["user"]
    search_fields = ["name", "token_key__startswith", "user__username__exact"]
    fields = ["name", "user", "token_key", "created", "expiry", "last_used_at"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def delete_model(self, request: HttpRequest, obj: ApiToken) -> None:
        tokens.revoke(obj, actor=user_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        for token in queryset:
            tokens.revoke(token, actor=user_of(request))


DELIVERY_TONES = {"sent": "ok", "pending": "info", "failed": "bad", "skipped": "muted"}


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """How news went out: what waits, what failed and why."""

    list_display = ["news", "recipient", "channel", "state", "when", "error"]
    list_filter = ["channel", "status"]
    list_select_related = ["notification__recipient"]
    show_full_result_count = False
    actions = ["try_again"]

    @admin.display(description="news")
    def news(self, delivery: Delivery) -> SafeString:
        return format_html('<span class="clip" title="{0}">{0}</span>', delivery.notification.title)

    @admin.display(description="status", ordering="status")
    def state(self, delivery: Delivery) -> SafeString:
        shown = badge(DELIVERY_TONES.get(delivery.status, "muted"), delivery.get_status_display())
        return format_html("{} {} attempts", shown, delivery.attempts) if delivery.attempts > 1 else shown

    @admin.display(description="sent, or next attempt")
    def when(self, delivery: Delivery) -> datetime | None:
        return delivery.sent_at or delivery.next_attempt_at

    @admin.display(description="last error")
    def error(self, delivery: Delivery) -> SafeString:
        return format_html('<span class="clip" title="{0}">{0}</span>', delivery.last_error)

    @admin.display(description="to")
    def recipient(self, delivery: Delivery) -> str:
        return str(delivery.notification.recipient)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("core.change_delivery")

    @admin.action(description="Try failed e-mails again", permissions=["retry"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        from apps.core.notifications import retry_failed

        self.message_user(request, f"{retry_failed(queryset)} e-mails are waiting to be sent again.")


admin.site.unregister(LogEntry)


@admin.register(LogEntry)
class TrailAdmin(ReadOnlyAdmin, LogEntryAdmin):
    """Who edited what, to read."""

    date_hierarchy = None
    show_full_result_count = False
    search_fields = ["object_repr", "actor__username"]


# What runs when is kept in config/celery.py; here it can be looked at.
for model in (ClockedSchedule, CrontabSchedule, IntervalSchedule, SolarSchedule, PeriodicTask):
    admin.site.unregister(model)


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(ReadOnlyAdmin):
    list_display = ["name", "task", "scheduler", "enabled", "last_run_at", "total_run_count"]
    list_select_related = ["interval", "crontab", "solar", "clocked"]

    @admin.display(description="when")
    def scheduler(self, task: PeriodicTask) -> str:
        return str(task.scheduler)
