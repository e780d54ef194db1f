"""The page of one article: what readers see, what is on its way, who answers for it, and how it does."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from apps.core.asking import found, person
from apps.core.home import address
from apps.core.models import Decision, User
from apps.knowledge import rights
from apps.knowledge.admin.shared import GAP_TONES, TONES, State, article_url, due, shown, version_url
from apps.knowledge.models import Article, ArticleFeedback, ArticleVersion, AskedQuestion, Gap

if TYPE_CHECKING:
    from apps.knowledge.admin.articles import ArticleAdmin

MOST = 60
RECENT = timedelta(days=90)
"""Questions that were asked within this time are counted."""
OPEN = (State.DRAFT, State.IN_REVIEW, State.APPROVED)


def article_page(modeladmin: ArticleAdmin, request: HttpRequest, pk: str) -> HttpResponse:
    """Show an article."""
    article: Article = found(modeladmin, request, pk, "owner", "category", "scope", "created_by")
    now, user = timezone.now(), person(request)
    versions = list(article.versions.select_related("author", "reviewer").order_by("-number"))
    live = next((one for one in versions if one.state == State.PUBLISHED), None)
    title = (live or versions[0]).title if versions else article.slug
    context = {
        **modeladmin.admin_site.each_context(request),
        "title": title,
        "opts": modeladmin.opts,
        "article": article,
        "now": now,
        "live": live,
        "text": shown(live.body) if live else "",
        "work": [(one, TONES[State(one.state)], version_url(one)) for one in versions if one.state in OPEN],
        "versions": [(one, TONES[State(one.state)], version_url(one)) for one in versions[:MOST]],
        "more_versions": max(0, len(versions) - MOST),
        "review": due(article, now.date()),
        "centre": address("help_article", article.slug) if live else "",
        "reviewers": list(article.reviewers.all()),
        "questions": list(article.questions.all()),
        "former": list(article.former_slugs.all()),
        "gaps": [(gap, GAP_TONES[Gap.State(gap.state)]) for gap in article.gaps.visible_to(user)[:5]],
        "helpful": _helpful(article),
        "asked": _asked([one.pk for one in versions], user, now),
        "decisions": _decisions(article, versions),
        "offers": offers(article, live, versions, user),
        "media": modeladmin.media,
    }
    return TemplateResponse(request, "knowledge/article.html", context)


def _helpful(article: Article) -> dict[str, Any]:
    """What readers said of all its versions, and the latest words."""
    rows = ArticleFeedback.objects.filter(version__article=article)
    count = rows.aggregate(yes=Count("pk", filter=Q(helpful=True)), no=Count("pk", filter=Q(helpful=False)))
    total = count["yes"] + count["no"]
    return {
        **count,
        "share": round(100 * count["yes"] / total) if total else None,
        "words": rows.filter(helpful=False).exclude(reason="", comment="").select_related("version")[:5],
    }


def _asked(versions: list[int], user: User, now: datetime) -> list[tuple[str, int]]:
    """How often its versions were the best hit lately, by outcome."""
    rows = AskedQuestion.objects.visible_to(user).filter(asked_at__gte=now - RECENT, versions__overlap=versions)
    first = Counter(
        outcome for outcome, ids in rows.values_list("outcome", "versions")[:10_000] if ids and ids[0] in versions
    )
    return [(outcome.label, first[outcome]) for outcome in AskedQuestion.Outcome if first[outcome]]


def _decisions(article: Article, versions: list[ArticleVersion]) -> list[tuple[Decision, str]]:
    numbers = {f"article_version:{one.pk}": f"Version {one.number}" for one in versions}
    subjects = [f"article:{article.pk}", *numbers]
    rows = Decision.objects.filter(subject__in=subjects).select_related("actor", "text").order_by("-seq")[:30]
    return [(row, f"{numbers.get(row.subject, 'Article')} {_did(row.action)}") for row in rows]


def _did(action: str) -> str:
    return action.partition("_")[2].replace("_", " ")


def offers(
    article: Article, live: ArticleVersion | None, versions: list[ArticleVersion], user: User
) -> list[dict[str, Any]]:
    """What this person may do about the article now, as buttons."""
    return [
        {"url": url, "words": words, "icon": icon, "tone": tone}
        for url, words, icon, tone in _found(article, live, versions, user)
    ]


def _found(
    article: Article, live: ArticleVersion | None, versions: list[ArticleVersion], user: User
) -> list[tuple[str, str, str, str]]:
    edits, publishes = rights.may_edit(user, article), rights.may_publish(user, article)
    if article.archived_at:
        return [(article_url(article, "restore"), "Take it up again", "undo", "primary")] if publishes else []
    work = next((one for one in versions if one.state in OPEN), None)
    rows = []
    if work is not None and (edits or rights.may_review(user, work)):
        rows.append((version_url(work), f"Go on with version {work.number}", "edit", "primary"))
    if edits and not any(one.state in (State.DRAFT, State.IN_REVIEW) for one in versions):
        rows.append((article_url(article, "draft"), "New draft", "edit", "" if rows else "primary"))
    if edits and live:
        rows.append((article_url(article, "confirm"), "Still true", "check", ""))
    if edits:
        rows.append((article_url(article, "details"), "Details", "settings", ""))
        rows.append((article_url(article, "reassign"), "Give to somebody", "user", ""))
    if publishes:
        rows.append((article_url(article, "archive"), "Archive", "box", ""))
    return rows
