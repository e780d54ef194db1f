"""Reviews of assessments and risks: when they are due, their agenda, decisions and minutes."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import F
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin import ReadOnlyAdmin, ScopedAdmin
from apps.core.asking import found, person
from apps.core.templatetags.desk import badge
from apps.register import reviews
from apps.register.admin import review_steps
from apps.register.admin.shared import Plain, due, when
from apps.register.models import RegisterReview, ReviewPoint
from apps.register.rights import may_review

TONES = {"planned": "muted", "running": "info", "completed": "ok"}


class DueFilter(admin.SimpleListFilter):
    """What is to be held."""

    title = "due"
    parameter_name = "due"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("late", "Overdue"), ("open", "Not completed")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "late":
            return queryset.unfinished().filter(due_on__lt=timezone.now().date())
        return queryset.unfinished() if self.value() == "open" else queryset


@admin.register(RegisterReview)
class RegisterReviewAdmin(ScopedAdmin, ReadOnlyAdmin, Plain):
    """Reviews are planned by the system and held on their own page."""

    list_display = ["link", "kind", "due", "state", "led_by", "completed"]
    list_display_links = None
    list_filter = [DueFilter, "status"]
    list_select_related = ["assessment", "risk", "gate", "led_by"]
    ordering: ClassVar[list[Any]] = [F("completed_at").desc(nulls_first=True), "due_on", "pk"]
    sortable_by: ClassVar[list[str]] = []
    show_facets = admin.ShowFacets.NEVER

    @admin.display(description="review")
    def link(self, review: RegisterReview) -> SafeString:
        url = reverse("admin:register_registerreview_change", args=[review.pk])
        of = review.assessment or review.risk
        return format_html('<a class="risk-title" href="{}"><strong>{}</strong></a>', url, of)

    @admin.display(description="of")
    def kind(self, review: RegisterReview) -> str:
        return str(review.gate.name) if review.gate else "Assessment" if review.assessment else "Risk"

    @admin.display(description="due")
    def due(self, review: RegisterReview) -> SafeString | str:
        completed = review.status == RegisterReview.Status.COMPLETED
        return due(review.due_on, review.due_on if completed else timezone.now().date())

    @admin.display(description="status")
    def state(self, review: RegisterReview) -> SafeString:
        return badge(TONES[review.status], review.get_status_display())

    @admin.display(description="completed")
    def completed(self, review: RegisterReview) -> SafeString:
        return when(review.completed_at)

    def get_urls(self) -> list[URLPattern]:
        return [*review_steps.pages(self), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One review with its agenda."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        review: RegisterReview = found(self, request, object_id, "assessment", "risk", "gate", "led_by")
        user = person(request)
        points = list(reviews.points_for(review, user))
        may_hold = may_review(user, review)
        context = {
            **self.admin_site.each_context(request),
            "title": str(review),
            "opts": self.opts,
            "review": review,
            "of": review.assessment or review.risk,
            "of_url": _of_url(review),
            "now": timezone.now(),
            "tone": TONES[review.status],
            "due": self.due(review),
            "points": [(point, _point_url(point)) for point in points],
            "undecided": sum(not point.decision for point in points),
            "hidden": review.points.count() - len(points),
            "may_hold": may_hold,
            "offers": review_steps.offers(review, may_hold),
            "media": self.media,
        }
        return TemplateResponse(request, "register/review.html", context)


def _of_url(review: RegisterReview) -> str:
    if review.assessment_id:
        return reverse("admin:register_riskassessment_change", args=[review.assessment_id])
    return reverse("admin:register_risk_change", args=[review.risk_id])


def _point_url(point: ReviewPoint) -> str:
    return reverse("admin:register_risk_change", args=[point.risk_id]) if point.risk_id else ""
