"""What the pages of the knowledge base share: tones, dates, addresses and the rendering of a text."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.asking import READS
from apps.core.markdown import document
from apps.core.templatetags.desk import ago, badge
from apps.knowledge.images import SHOWN
from apps.knowledge.models import Article, ArticleVersion, AskedQuestion, Gap

DASH = SafeString('<span class="muted">–</span>')
State = ArticleVersion.State
TONES = {
    State.DRAFT: "warn",
    State.IN_REVIEW: "info",
    State.APPROVED: "info",
    State.PUBLISHED: "ok",
    State.SUPERSEDED: "muted",
    State.REJECTED: "bad",
    State.ARCHIVED: "muted",
}
Outcome = AskedQuestion.Outcome
OUTCOME_TONES = {
    Outcome.ANSWERED: "ok",
    Outcome.CHOSEN: "info",
    Outcome.NOT_SURE: "warn",
    Outcome.ESCALATED: "warn",
    Outcome.UNHELPFUL: "bad",
}
GAP_TONES = {Gap.State.OPEN: "warn", Gap.State.DRAFTED: "info", Gap.State.CLOSED: "ok"}
SOON = timedelta(days=14)
"""Reviews that are due within this time stand in the list of those that are due."""


class Plain(admin.ModelAdmin):
    """Stylesheets and list habits of the knowledge base."""

    show_full_result_count = False
    list_per_page = 50

    class Media:
        css = {"all": ["actions/queue.css", "escalation/escalation.css", "knowledge/knowledge.css"]}


def shown(body: str) -> SafeString:
    """A version's text as readers see it, below a heading of the second level."""
    return document(body, under=2, pictures=SHOWN).html


def state_badge(version: ArticleVersion) -> SafeString:
    """A version's state; of an approved one that waits, when it goes live."""
    words = version.get_state_display()
    if version.state == State.APPROVED and version.publish_at:
        words = "Scheduled"
    return badge(TONES[State(version.state)], words)


def due(article: Article, today: date) -> SafeString | str:
    """When it is reviewed next, marked where that is past or near; nothing for what is archived."""
    if article.archived_at:
        return DASH
    day = article.next_review_on
    if day < today:
        return format_html("{} {}", day, badge("bad", "Overdue", "clock"))
    return format_html("{} {}", day, badge("warn", "Due soon", "clock")) if day <= today + SOON else str(day)


def when(moment: datetime | None, now: datetime | None = None) -> SafeString:
    """How long ago, or a dash."""
    return ago(moment, now) if moment else DASH


def article_url(article: Article | int, name: str = "change", *args: object) -> str:
    """The address of one of an article's pages."""
    pk = article if isinstance(article, int) else article.pk
    return reverse(f"admin:knowledge_article_{name}", args=[pk, *args])


def version_url(version: ArticleVersion, name: str = "version") -> str:
    """The address of one of a version's pages."""
    return article_url(version.article_id, name, version.number)


def elsewhere(request: HttpRequest, version: ArticleVersion, *states: State) -> HttpResponse | None:
    """The version's page, for who asks for a step that its state does not have; nothing is written there in vain."""
    if request.method not in READS or version.state in states:
        return None
    messages.info(request, f"This version is {version.get_state_display().lower()} now; that step is not open.")
    return HttpResponseRedirect(version_url(version))
