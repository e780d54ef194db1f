"""Subscriptions: the list, the page of one with its risk and the reasons for it, and what is recorded about it."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from apps.core.errors import DomainError
from apps.core.models import Scope
from apps.core.people import user_of
from apps.core.scope import scopes_of, sees_every_scope
from apps.core.templatetags.desk import badge, money
from apps.subscriptions import records, services
from apps.subscriptions.admin.shared import (
    STATUS_TONES,
    OrganisationFilter,
    SubscriptionData,
    level_badge,
    score_glance,
    subscription_url,
)
from apps.subscriptions.admin.view import page_context
from apps.subscriptions.forms import FORMS, AddForm, initial
from apps.subscriptions.models import Approval, RiskLevel, RiskScore, Subscription

NEW: dict[str, object] = {"status": Subscription.Status.ACTIVE, "interval": Subscription.Interval.MONTHLY}
MOST_AT_ONCE = 500
"""So many selected subscriptions are recalculated while the person waits."""


class LevelFilter(admin.SimpleListFilter):
    """The level of the score."""

    title = "risk level"
    parameter_name = "level"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*reversed(RiskLevel.choices), ("none", "Not calculated")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if value == "none":
            return queryset.filter(risk_score=None)
        return queryset.filter(risk_score__risk_level=value) if value in RiskLevel.values else queryset


@admin.register(Subscription)
class SubscriptionAdmin(SubscriptionData):
    """Subscriptions with their risk."""

    list_display_links = ["name"]
    list_display = ["name", "level", "why", "worth", "renews_on", "state", "owner", "scope"]
    list_filter = [LevelFilter, OrganisationFilter, "status", "interval"]
    list_select_related = ["owner", "scope", "risk_score"]
    search_fields = ["name__istartswith", "owner__username__exact", "owner__email__exact"]
    search_help_text = "Beginning of the name, the owner's user name or e-mail, or the id"
    ordering = ["-pk"]
    actions = ["recalculate"]

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        try:
            return queryset.filter(pk=UUID(search_term.strip())), False
        except ValueError:
            return super().get_search_results(request, queryset, search_term)

    @admin.display(description="risk")
    def level(self, subscription: Subscription) -> SafeString:
        score = _score(subscription)
        return level_badge(score.risk_level, degraded=score.degraded) if score else level_badge("")

    @admin.display(description="why")
    def why(self, subscription: Subscription) -> SafeString:
        return score_glance(_score(subscription))

    @admin.display(description="price")
    def worth(self, subscription: Subscription) -> SafeString:
        return money(subscription.price, subscription.currency)

    @admin.display(description="status")
    def state(self, subscription: Subscription) -> SafeString:
        tone = STATUS_TONES.get(Subscription.Status(subscription.status), "muted")
        return badge(tone, subscription.get_status_display())

    def has_recalculate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("subscriptions.change_riskscore")

    @admin.action(description="Recalculate the risk of the selected", permissions=["recalculate"])
    def recalculate(self, request: HttpRequest, queryset: QuerySet[Subscription]) -> None:
        recalculate_chosen(self, request, list(queryset.values_list("pk", flat=True)[: MOST_AT_ONCE + 1]))

    # A new one is typed in; everything after that is recorded.

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(AddForm.permission)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Add a subscription. A form that is sent twice adds one."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        user: Any = request.user
        everywhere = sees_every_scope(user)
        scopes = Scope.objects.all() if everywhere else Scope.objects.filter(pk__in=scopes_of(user))
        blank = partial(AddForm, scopes=scopes, may_be_nobodys=everywhere)
        now, status = timezone.now(), 200
        if request.method == "POST":
            form, status = blank(request.POST), 400
            if form.is_valid():
                try:
                    made = form.store(user, now)
                except DomainError as refusal:
                    form.refuse(refusal)
                    status = refusal.status
                else:
                    messages.success(request, "Added, and the risk was calculated.")
                    return HttpResponseRedirect(subscription_url(made.pk))
        else:
            form = blank(initial=NEW | {"key": uuid4()})
        context = {**self.admin_site.each_context(request), "title": form.title, "opts": self.opts, "form": form}
        return TemplateResponse(request, "subscriptions/record.html", context, status=status)

    def get_urls(self) -> list[URLPattern]:
        def page(route: str, view: Any, name: str) -> URLPattern:
            return path(f"<uuid:pk>/{route}/", self.admin_site.admin_view(view), name=f"subscriptions_{name}")

        return [
            page("recalculate", self.recalculate_view, "recalculate"),
            page("record/<slug:what>", self.record_view, "record"),
            page("revoke/<uuid:approval>", self.revoke_view, "revoke"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page of one subscription."""
        if request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        subscription = self._found(request, object_id)
        context = {**self.admin_site.each_context(request), "opts": self.opts, "media": self.media}
        context |= page_context(subscription, user_of(request), timezone.now())
        return TemplateResponse(request, "subscriptions/subscription.html", context)

    def _found(self, request: HttpRequest, pk: object) -> Subscription:
        """The subscription, if this person may see it.

        Raises:
            PermissionDenied: the person's role does not include subscriptions.
            Http404: there is none, or it is outside the person's scope; which of the two is not told.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            key = UUID(str(pk))
        except ValueError:
            raise Http404 from None
        rows = self.get_queryset(request).select_related("owner", "scope", "risk_score", "balance", "prediction")
        found: Subscription | None = rows.filter(pk=key).first()
        if found is None:
            raise Http404
        return found

    def recalculate_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Recalculate one subscription."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_recalculate_permission(request):
            raise PermissionDenied
        subscription = self._found(request, pk)
        recalculate_chosen(self, request, [subscription.pk])
        return HttpResponseRedirect(subscription_url(subscription.pk))

    def record_view(self, request: HttpRequest, pk: UUID, what: str) -> HttpResponse:
        """Record an attempt, an approval or a balance, or change the subscription itself."""
        if what not in FORMS:
            raise Http404
        if not request.user.has_perm(FORMS[what].permission):
            raise PermissionDenied
        subscription, now = self._found(request, pk), timezone.now()
        status = 200
        if request.method == "POST":
            form = FORMS[what](request.POST, subscription=subscription)
            if form.is_valid():
                try:
                    form.store(user_of(request), now)
                except DomainError as refusal:
                    form.refuse(refusal)
                    status = refusal.status
                else:
                    messages.success(request, "Recorded, and the risk was calculated anew.")
                    return HttpResponseRedirect(subscription_url(subscription.pk))
            else:
                status = 400
        else:
            form = FORMS[what](subscription=subscription, initial=initial(what, subscription, now))
        context = {
            **self.admin_site.each_context(request),
            "title": form.title,
            "opts": self.opts,
            "subscription": subscription,
            "form": form,
        }
        return TemplateResponse(request, "subscriptions/record.html", context, status=status)

    def revoke_view(self, request: HttpRequest, pk: UUID, approval: UUID) -> HttpResponse:
        """Take an approval back."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not request.user.has_perm("subscriptions.change_approval"):
            raise PermissionDenied
        subscription = self._found(request, pk)
        if not Approval.objects.filter(pk=approval, subscription=subscription).exists():
            raise Http404
        try:
            records.revoke_approval(approval_id=approval, actor=user_of(request), now=timezone.now())
        except DomainError as refusal:
            messages.error(request, refusal.message)
        else:
            messages.success(request, "The approval was revoked, and the risk was calculated anew.")
        return HttpResponseRedirect(subscription_url(subscription.pk))


def _score(subscription: Subscription) -> RiskScore | None:
    """The score; None where none was calculated yet."""
    return getattr(subscription, "risk_score", None)


def recalculate_chosen(page: admin.ModelAdmin, request: HttpRequest, ids: list[UUID]) -> None:
    """Recalculate these now and say what came of it; too many are left to a run over all."""
    if len(ids) > MOST_AT_ONCE:
        words = f"At most {MOST_AT_ONCE} are recalculated at once; for more, an administrator recalculates all."
        page.message_user(request, words, messages.ERROR)
        return
    now: datetime = timezone.now()
    done = services.recalculate(ids, now=now, occasion="request")
    words = f"{done.succeeded} recalculated, {done.changed} changed their level."
    if done.failed or done.degraded:
        words += f" {done.failed} failed, and {done.degraded} could be judged in part only; the next run tries again."
    page.message_user(request, words, messages.WARNING if done.failed or done.degraded else messages.SUCCESS)


def recalculate_url(pk: UUID) -> str:
    """Where the button of one subscription leads."""
    return reverse("admin:subscriptions_recalculate", args=[pk])
