"""What people do with a version: a page that shows what will happen, and a POST bound to the text that was shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from apps.core.asking import Question, Words, ask, found, person, press
from apps.core.names import called
from apps.knowledge import drafts, reviewing, rights
from apps.knowledge.admin.forms import BackForm, CommentForm, ScheduleForm, SeenForm
from apps.knowledge.admin.shared import State, article_url, elsewhere, shown, state_badge, version_url
from apps.knowledge.admin.version_page import differences, version_of
from apps.knowledge.models import Article, ArticleVersion

Run = Callable[[Any], str]


def _version(modeladmin: ModelAdmin, request: HttpRequest, pk: int, number: int) -> ArticleVersion:
    article: Article = found(modeladmin, request, pk, "owner", "category")
    return version_of(article, number)


def _ask(
    modeladmin: ModelAdmin, request: HttpRequest, version: ArticleVersion, words: Words, make: Any, run: Run,
    *, when: tuple[State, ...], url: str = "", **more: Any,
) -> HttpResponse:  # fmt: skip
    """The page shows the text, and what differs from what readers see.

    Args:
        when: states of a version in which this can be done.
    """
    if (answer := elsewhere(request, version, *when)) is not None:
        return answer
    back = version_url(version)
    live = version.article.versions.published().exclude(pk=version.pk).first()
    shows = {
        "article": version.article, "version": version, "state": state_badge(version), "text": shown(version.body),
        "now": timezone.now(), **differences(version, live), **more,
    }  # fmt: skip
    question = Question(
        words,
        lambda data, _: make(data),
        run,
        url or back,
        back,
        f"Version {version.number}",
        "knowledge/decide.html",
        shows,
    )
    return ask(modeladmin, request, question)


def _bound(version: ArticleVersion, form: type[SeenForm], **initial: Any) -> Callable[[Any], SeenForm]:
    return lambda data: form(data, initial={"seen": version.digest, **initial})


def submit(modeladmin: ModelAdmin, request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """Ask for a review."""
    version = _version(modeladmin, request, pk, number)
    rights.require(rights.may_edit(person(request), version.article))

    def run(form: SeenForm) -> str:
        reviewing.submit(
            version_id=version.pk, seen_digest=form.cleaned_data["seen"], actor=person(request), now=timezone.now()
        )
        return "It waits for a review. Those who may review it are told."

    names = ", ".join(called(one) for one in rights.named_reviewers(version)) or "everybody whose role reviews"
    lead = (
        f"Told is {names}; you cannot approve it yourself. The text is fixed until it is decided or you take it back."
    )
    return _ask(
        modeladmin,
        request,
        version,
        Words("Ask for a review", "Ask", lead),
        _bound(version, SeenForm),
        run,
        when=(State.DRAFT,),
    )


def withdraw(modeladmin: ModelAdmin, request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """Take it back from review, or before it goes live."""
    version = _version(modeladmin, request, pk, number)
    rights.require(rights.may_edit(person(request), version.article))

    def run(form: SeenForm) -> str:
        reviewing.withdraw(
            version_id=version.pk, seen_digest=form.cleaned_data["seen"], actor=person(request), now=timezone.now()
        )
        return "It is a draft again."

    lead = "It becomes a draft again; an approval is lost. What readers see does not change."
    return _ask(
        modeladmin,
        request,
        version,
        Words("Take it back", "Take back", lead),
        _bound(version, SeenForm),
        run,
        when=(State.IN_REVIEW, State.APPROVED),
    )


def approve(modeladmin: ModelAdmin, request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """Approve the text that is shown."""
    version = _version(modeladmin, request, pk, number)
    rights.require_reviewer(person(request), version)

    def run(form: CommentForm) -> str:
        given = form.cleaned_data
        reviewing.approve(
            version_id=version.pk, seen_digest=given["seen"], comment=given["comment"], actor=person(request),
            now=timezone.now(),
        )  # fmt: skip
        return "Approved. It can be published or scheduled now."

    lead = "You approve exactly the text below. It is not live by that: the owner publishes or schedules it."
    return _ask(
        modeladmin,
        request,
        version,
        Words("Approve this version", "Approve", lead),
        _bound(version, CommentForm),
        run,
        when=(State.IN_REVIEW,),
    )


def send_back(modeladmin: ModelAdmin, request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """Send it back to be rewritten."""
    lead = "It becomes a draft again, and the author goes on with it."
    return _back(modeladmin, request, pk, number, Words("Send it back", "Send back", lead), final=False)


def reject(modeladmin: ModelAdmin, request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """Reject it for good."""
    lead = "Its text stays in the history and cannot be approved any more; another draft can be begun."
    return _back(modeladmin, request, pk, number, Words("Reject this version", "Reject", lead, "danger"), final=True)


def _back(
    modeladmin: ModelAdmin, request: HttpRequest, pk: int, number: int, words: Words, *, final: bool
) -> HttpResponse:
    version = _version(modeladmin, request, pk, number)
    rights.require_reviewer(person(request), version)

    def run(form: BackForm) -> str:
        given = form.cleaned_data
        reviewing.send_back(
            version_id=version.pk, seen_digest=given["seen"], reason=given["reason"], final=final,
            actor=person(request), now=timezone.now(),
        )  # fmt: skip
        return f"{'Rejected' if final else 'Sent back'}. The author is told why."

    return _ask(modeladmin, request, version, words, _bound(version, BackForm), run, when=(State.IN_REVIEW,))


def publish(modeladmin: ModelAdmin, request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """Put it live."""
    version = _version(modeladmin, request, pk, number)
    rights.require(rights.may_publish(person(request), version.article))

    def run(form: SeenForm) -> str:
        reviewing.publish(
            version_id=version.pk, seen_digest=form.cleaned_data["seen"], actor=person(request), now=timezone.now()
        )
        return "It is live. The search follows within seconds."

    who = "everybody" if version.article.audience == Article.Audience.PUBLIC else "staff"
    lead = f"It takes the place of the live version at once, for {who}. The former one stays in the history."
    return _ask(
        modeladmin, request, version, Words("Publish this version", "Publish", lead), _bound(version, SeenForm), run,
        when=(State.APPROVED,), url=article_url(version.article),
    )  # fmt: skip


def schedule(modeladmin: ModelAdmin, request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """Have it go live at a time."""
    version = _version(modeladmin, request, pk, number)
    rights.require(rights.may_publish(person(request), version.article))

    def run(form: ScheduleForm) -> str:
        given = form.cleaned_data
        reviewing.schedule(
            version_id=version.pk, seen_digest=given["seen"], publish_at=given["publish_at"], actor=person(request),
            now=timezone.now(),
        )  # fmt: skip
        at = given["publish_at"]
        return (
            f"It goes live on {timezone.localtime(at):%Y-%m-%d at %H:%M %Z}."
            if at
            else "It waits until somebody publishes it."
        )

    lead = "Until then readers see the version that is live now."
    return _ask(
        modeladmin, request, version, Words("Schedule this version", "Schedule", lead),
        _bound(version, ScheduleForm, publish_at=version.publish_at), run, when=(State.APPROVED,),
    )  # fmt: skip


def discard(modeladmin: ModelAdmin, request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """Throw a draft away."""
    version = _version(modeladmin, request, pk, number)
    rights.require(rights.may_edit(person(request), version.article))

    def run(form: SeenForm) -> str:
        drafts.discard(version_id=version.pk, seen_digest=form.cleaned_data["seen"], actor=person(request))
        return "The draft is gone."

    lead = "The draft and what was said about it are deleted. Only a draft that was never in review can be thrown away."
    return _ask(
        modeladmin, request, version, Words("Throw the draft away", "Throw away", lead, "danger"),
        _bound(version, SeenForm), run, when=(State.DRAFT,), url=article_url(version.article),
    )  # fmt: skip


def comment(modeladmin: ModelAdmin, request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """Say something about it (POST)."""
    version = _version(modeladmin, request, pk, number)

    def run() -> str:
        drafts.comment(
            version_id=version.pk, text=request.POST.get("text", ""), actor=person(request), now=timezone.now()
        )
        return "Said."

    return press(request, run, f"{version_url(version)}#said")


STEPS = (submit, withdraw, approve, send_back, reject, publish, schedule, discard, comment)
