"""Reviews: when they are due, their agenda, decisions, next actions and minutes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin import ReadOnlyAdmin, ScopedAdmin
from apps.core.asking import Words, ask, found, page, person
from apps.core.errors import DomainError
from apps.core.markdown import rendered
from apps.core.templatetags.desk import badge
from apps.escalation import reviews
from apps.escalation.admin.asking import about
from apps.escalation.admin.shared import level_tone, source_url, when
from apps.escalation.agenda import EVERY
from apps.escalation.minutes import minutes, subject
from apps.escalation.models import Review, ReviewItem
from apps.escalation.review_forms import CompleteForm, DecisionForm

TONES = {Review.Status.PLANNED: "muted", Review.Status.RUNNING: "info", Review.Status.COMPLETED: "ok"}


def review_url(review: Review, name: str = "change") -> str:
    """The address of one of a review's pages."""
    return reverse(f"admin:escalation_review_{name}", args=[review.pk])


@admin.register(Review)
class ReviewAdmin(ScopedAdmin, ReadOnlyAdmin):
    """Reviews are planned by the system and held on their own page."""

    list_display = ["link", "due", "state", "led_by", "completed"]
    list_display_links = None
    list_filter = ["kind", "status"]
    list_select_related = ["led_by"]
    show_full_result_count = False
    sortable_by: ClassVar[list[str]] = []

    class Media:
        css = {"all": ["escalation/escalation.css"]}

    @admin.display(description="review")
    def link(self, review: Review) -> SafeString:
        return format_html('<a href="{}"><strong>{}</strong></a>', review_url(review), review.get_kind_display())

    @admin.display(description="due")
    def due(self, review: Review) -> SafeString | str:
        late = review.status == Review.Status.PLANNED and review.due_on < timezone.now().date()
        return format_html("{} {}", review.due_on, badge("bad", "Overdue")) if late else str(review.due_on)

    @admin.display(description="status")
    def state(self, review: Review) -> SafeString:
        return badge(TONES[Review.Status(review.status)], review.get_status_display())

    @admin.display(description="completed")
    def completed(self, review: Review) -> SafeString:
        return when(review.completed_at)

    def get_urls(self) -> list[URLPattern]:
        return [
            page(self, "<int:pk>/begin/", "begin", begin),
            page(self, "<int:pk>/complete/", "complete", complete),
            page(self, "<int:pk>/minutes/", "minutes", download),
            page(self, "<int:pk>/items/<int:item>/decide/", "decide", decide),
            page(self, "<int:pk>/items/<int:item>/done/", "done", done),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        reviews.plan(now=timezone.now())
        return super().changelist_view(request, {"title": "Escalation reviews", **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One review with its agenda."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        review: Review = found(self, request, object_id, "led_by")
        user = person(request)
        items = reviews.items_for(review, user)
        context = {
            **self.admin_site.each_context(request),
            "title": str(review),
            "opts": self.opts,
            "review": review,
            "tone": TONES[Review.Status(review.status)],
            "now": timezone.now(),
            "summary": rendered(review.summary, under=3),
            "items": [_line(item) for item in items],
            "undecided": sum(not item.decision for item in items),
            "actions": [item for item in items if item.next_action],
            "open_actions": _open_actions(review),
            "may_hold": user.has_perm(reviews.HOLD),
            "me": user.pk,
            "media": self.media,
        }
        return TemplateResponse(request, "escalation/review.html", context)


def _line(item: ReviewItem) -> dict[str, Any]:
    url = source_url(f"risk_flag:{item.flag_id}") if item.flag else ""
    if item.cluster:
        url = source_url(f"cluster:{item.cluster_id}")
    tone = level_tone(item.flag.level) if item.flag else ""
    title = item.flag.title if item.flag else item.cluster.title if item.cluster else item.reason
    about = bool(item.flag or item.cluster)
    return {
        "item": item,
        "title": title,
        "url": url,
        "tone": tone,
        "about": about,
        "brief": rendered(item.brief, under=3),
    }


def _open_actions(review: Review) -> int:
    """Next actions of earlier reviews that are not done."""
    rows = ReviewItem.objects.exclude(next_action="").exclude(review=review)
    return rows.filter(done_at=None).count()


def _held(modeladmin: ReviewAdmin, request: HttpRequest, pk: int) -> Review:
    review: Review = found(modeladmin, request, pk)
    if not request.user.has_perm(reviews.HOLD):
        raise PermissionDenied
    return review


def begin(modeladmin: ReviewAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Begin the review; its agenda is made now."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    review = _held(modeladmin, request, pk)
    try:
        reviews.begin(review_id=review.pk, actor=person(request), now=timezone.now())
    except DomainError as refusal:
        messages.error(request, f"{refusal.message} ({refusal.code})")
    return HttpResponseRedirect(review_url(review))


def decide(modeladmin: ReviewAdmin, request: HttpRequest, pk: int, item: int) -> HttpResponse:
    """Write down a decision."""
    review = _held(modeladmin, request, pk)
    row = next((one for one in reviews.items_for(review, person(request)) if one.pk == item), None)
    if row is None:
        raise Http404
    until = row.due_on or timezone.now().date() + timedelta(days=EVERY[review.kind])
    initial = {"decision": row.decision, "next_action": row.next_action, "owner": row.owner_id, "due_on": until}

    def run(form: DecisionForm) -> str:
        reviews.decide(item_id=row.pk, actor=person(request), now=timezone.now(), **form.cleaned_data)
        return "The decision is in the minutes."

    why = f" On the agenda because: {row.reason}." if row.flag or row.cluster else ""
    words = Words("Decide", "Write down", f"{subject(row)}{why}")
    question = about(
        words, lambda data: DecisionForm(data, initial=initial), run, review_url(review), str(review),
        "escalation/decide.html", {"brief": rendered(row.brief, under=2)},
    )  # fmt: skip
    return ask(modeladmin, request, question)


def done(modeladmin: ReviewAdmin, request: HttpRequest, pk: int, item: int) -> HttpResponse:
    """Tick off a next action."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    review: Review = found(modeladmin, request, pk)
    row = next((one for one in reviews.items_for(review, person(request)) if one.pk == item), None)
    if row is None:
        raise Http404
    try:
        reviews.finish_action(item_id=row.pk, actor=person(request), now=timezone.now())
    except DomainError as refusal:
        if refusal.status == 403:
            raise PermissionDenied from None
        messages.error(request, f"{refusal.message} ({refusal.code})")
    else:
        messages.success(request, "Done.")
    return HttpResponseRedirect(review_url(review))


def complete(modeladmin: ReviewAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Complete the review."""
    review = _held(modeladmin, request, pk)

    def run(form: CompleteForm) -> str:
        reviews.complete(review_id=pk, notes=form.cleaned_data["notes"], actor=person(request), now=timezone.now())
        following = Review.objects.filter(kind=review.kind, status=Review.Status.PLANNED).first()
        return f"Completed. The next one is due on {following.due_on}." if following else "Completed."

    words = Words(
        "Complete the review", "Complete", "Every item needs a decision. The next review is planned from today."
    )
    return ask(modeladmin, request, about(words, CompleteForm, run, review_url(review), str(review)))


def download(modeladmin: ReviewAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """The minutes as a file."""
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    review: Review = found(modeladmin, request, pk, "led_by")
    answer = HttpResponse(minutes(review, person(request)), content_type="text/markdown; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{review.kind}-review-{review.due_on}.md"'
    return answer
