"""The page of one version: its text, what differs from another one, what was said about it, and what can be done."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.utils import timezone

from apps.core.asking import READS, found, person
from apps.core.models import User
from apps.core.names import called
from apps.core.numbers import whole
from apps.escalation.differences import lines
from apps.knowledge import rights
from apps.knowledge.admin.shared import State, article_url, shown, state_badge, version_url
from apps.knowledge.models import Article, ArticleVersion


def version_of(article: Article, number: int) -> ArticleVersion:
    """A version of an article.

    Raises:
        Http404: it has no such version.
    """
    rows = article.versions.select_related("author", "reviewer")
    row: ArticleVersion | None = rows.filter(number=number).first() if number < 2**31 else None
    if row is None:
        raise Http404
    row.article = article
    return row


def version_page(modeladmin: admin.ModelAdmin, request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """Show a version; ``?than=`` the number of the one to compare with, the one before it if none."""
    if request.method not in READS:
        return HttpResponseNotAllowed(READS)
    article: Article = found(modeladmin, request, pk, "owner", "category")
    version = version_of(article, number)
    others = list(article.versions.exclude(pk=version.pk).order_by("-number"))
    context = {
        **modeladmin.admin_site.each_context(request),
        "title": str(version),
        "opts": modeladmin.opts,
        "article": article,
        "back": article_url(article),
        "version": version,
        "state": state_badge(version),
        "now": timezone.now(),
        "text": shown(version.body),
        "others": others,
        "waits": _waits_for(version, person(request)),
        "comments": list(version.comments.select_related("author")),
        "offers": offers(version, person(request), live=any(one.state == State.PUBLISHED for one in others)),
        "media": modeladmin.media,
        **differences(version, _other(version, others, request.GET.get("than", ""))),
    }
    return TemplateResponse(request, "knowledge/version.html", context)


def _other(version: ArticleVersion, others: list[ArticleVersion], wanted: str) -> ArticleVersion | None:
    """The version to compare with: the wanted one; else for one on its way the live one, for any other the one before."""
    if wanted:
        number = whole(wanted)
        return next((one for one in others if one.number == number), None)
    if version.state in (State.DRAFT, State.IN_REVIEW, State.APPROVED):
        live = next((one for one in others if one.state == State.PUBLISHED), None)
        if live is not None:
            return live
    return next((one for one in others if one.number < version.number), None)


def _waits_for(version: ArticleVersion, user: User) -> str:
    """Who decides about a version in review, for those who do not."""
    if version.state != State.IN_REVIEW or rights.may_review(user, version):
        return ""
    names = ", ".join(called(one) for one in rights.named_reviewers(version))
    words = f"It waits for a review by {names or 'somebody whose role reviews'}."
    return f"{words} You wrote it, so somebody else decides." if version.author_id == user.pk else words


def differences(version: ArticleVersion, other: ArticleVersion | None) -> dict[str, Any]:
    """What differs from the other version to this one, for the page."""
    if other is None:
        return {"other": None}
    titles = (other.title, version.title) if other.title != version.title else None
    return {"other": other, "titles": titles, "lines": lines(other.body, version.body)}


def offers(version: ArticleVersion, user: User, *, live: bool) -> list[dict[str, Any]]:
    """What this person may do with the version now, as buttons."""
    return [
        {"url": url, "words": words, "icon": icon, "tone": tone}
        for url, words, icon, tone in _found(version, user, live)
    ]


def _found(version: ArticleVersion, user: User, live: bool) -> list[tuple[str, str, str, str]]:
    article, state = version.article, State(version.state)

    def to(name: str) -> str:
        return version_url(version, name)

    edits, reviews = rights.may_edit(user, article), rights.may_review(user, version)
    rows: list[tuple[str, str, str, str]] = []
    if state == State.DRAFT and edits:
        rows = [(to("edit"), "Edit", "edit", ""), (to("submit"), "Ask for a review", "send", "primary")]
        rows += [] if version.submitted_at else [(to("discard"), "Throw away", "trash", "")]
    if state == State.IN_REVIEW and reviews:
        rows = [(to("approve"), "Approve", "check", "primary"), (to("send_back"), "Send back", "undo", "")]
        rows.append((to("reject"), "Reject", "x", ""))
    if state == State.APPROVED and rights.may_publish(user, article):
        rows = [(to("publish"), "Publish now", "up", "primary"), (to("schedule"), "Schedule", "clock", "")]
    if state in (State.IN_REVIEW, State.APPROVED) and edits:
        rows.append((to("withdraw"), "Take back", "undo", ""))
    if state in (State.SUPERSEDED, State.REJECTED, State.ARCHIVED) and edits and not article.archived_at:
        rows.append(
            (f"{article_url(article, 'draft')}?like={version.number}", "Go back to this version", "history", "")
        )
    return rows
