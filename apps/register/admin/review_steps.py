"""Holding a review: begin, decide point by point, complete, and take the minutes home."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.urls import URLPattern, reverse
from django.utils import timezone

from apps.core.asking import READS, Question, Words, ask, found, page, person, press
from apps.register import reviews
from apps.register.admin.forms import PlainForm, somebody, text
from apps.register.models import RegisterReview
from apps.register.rights import may_review


class DecisionForm(PlainForm):
    """What was decided on a point."""

    decision = text("Decision", "Stands in the minutes and in the decision log.")
    next_action = forms.CharField(max_length=300, required=False, label="Next action")
    action_owner = somebody("Who does it")


class CompleteForm(PlainForm):
    """The end of a review."""

    notes = forms.CharField(
        required=False, max_length=20_000, widget=forms.Textarea(attrs={"rows": 5}), help_text="Stand in the minutes."
    )


def pages(modeladmin: ModelAdmin) -> list[URLPattern]:
    """The pages of this module."""
    return [
        page(modeladmin, "<int:pk>/begin/", "begin", begin),
        page(modeladmin, "<int:pk>/points/<int:point>/decide/", "decide", decide),
        page(modeladmin, "<int:pk>/complete/", "complete", complete),
        page(modeladmin, "<int:pk>/minutes.md", "minutes", minutes),
    ]


def review_url(pk: int, name: str = "change") -> str:
    """The address of one of a review's pages."""
    return reverse(f"admin:register_registerreview_{name}", args=[pk])


def offers(review: RegisterReview, may_hold: bool) -> list[dict[str, str]]:
    """What may be done with a review that has begun."""
    made = []
    if may_hold and review.status == RegisterReview.Status.RUNNING:
        made.append({"url": review_url(review.pk, "complete"), "words": "Complete", "icon": "check", "tone": "primary"})
    if review.minutes:
        made.append({"url": review_url(review.pk, "minutes"), "words": "Export minutes", "icon": "export"})
    return made


def _held(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> RegisterReview:
    review: RegisterReview = found(modeladmin, request, pk, "assessment", "risk", "gate")
    if not may_review(person(request), review):
        raise PermissionDenied
    return review


def begin(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Begin the review; its agenda is made now."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    _held(modeladmin, request, pk)

    def run() -> str:
        review = reviews.start(review_id=pk, actor=person(request), now=timezone.now())
        return f"{review.points.count()} points are on the agenda."

    return press(request, run, review_url(pk))


def decide(modeladmin: ModelAdmin, request: HttpRequest, pk: int, point: int) -> HttpResponse:
    """Write down what was decided on a point."""
    review = _held(modeladmin, request, pk)
    row = next((one for one in reviews.points_for(review, person(request)) if one.pk == point), None)
    if row is None:
        raise Http404
    initial = {"decision": row.decision, "next_action": row.next_action, "action_owner": row.action_owner_id}

    def run(form: DecisionForm) -> str:
        reviews.decide_point(point_id=point, actor=person(request), now=timezone.now(), **form.cleaned_data)
        return "The decision is written down."

    lead = f"{row.topic}. {' '.join(f'{fact}.' for fact in row.facts)}"
    return _ask(modeladmin, request, review, Words("Decide", "Write down", lead), DecisionForm, initial, run)


def complete(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Complete the review."""
    review = _held(modeladmin, request, pk)

    def run(form: CompleteForm) -> str:
        done = reviews.complete(review_id=pk, actor=person(request), now=timezone.now(), **form.cleaned_data)
        following = RegisterReview.objects.unfinished().filter(assessment=done.assessment, risk=done.risk).first()
        return f"Completed. The next one is due on {following.due_on:%-d %b %Y}." if following else "Completed."

    words = Words("Complete the review", "Complete", "Every point needs a decision. The next review counts from today.")
    return _ask(modeladmin, request, review, words, CompleteForm, {}, run)


def minutes(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """The minutes as a file."""
    if request.method not in READS:
        return HttpResponseNotAllowed(READS)
    review: RegisterReview = found(modeladmin, request, pk)
    # The minutes name every point; who does not see all of them reads the page instead.
    if reviews.points_for(review, person(request)).count() < review.points.count():  # type: ignore[attr-defined]
        raise PermissionDenied
    answer = HttpResponse(review.minutes, content_type="text/markdown; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="register-review-{review.due_on}.md"'
    return answer


def _ask(
    modeladmin: ModelAdmin,
    request: HttpRequest,
    review: RegisterReview,
    words: Words,
    form: Any,
    initial: Any,
    run: Any,
) -> HttpResponse:
    url = review_url(review.pk)
    question = Question(
        words, lambda data, _: form(data, initial=initial), run, url, url, str(review), "register/form.html"
    )
    return ask(modeladmin, request, question)
