"""Answers from the help pages: an article with its source, a choice of a few, or that the bot is not sure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from apps.chat.bot import smalltalk
from apps.chat.bot.language import base
from apps.chat.bot.replies import Reply, choices
from apps.chat.models import BotTurn, Conversation, Handoff
from apps.knowledge import answers
from apps.knowledge.answers import Answer, Hit, Outcome
from apps.knowledge.models import ArticleVersion, Passage
from apps.knowledge.search.retrieve import Reader

if TYPE_CHECKING:
    from apps.chat.bot.thinking import Heard

MISSES = 2
"""Times in a row that the bot may be not sure; then a person has it."""
EXCERPT = 280
LONGEST = 1_500
"""Characters of an answer; the article itself is linked."""


def reader_of(conversation: Conversation) -> Reader:
    """Customers see public articles, those of the site's scope among them: in the language spoken, if there are any in it."""
    reader = Reader(internal=False, scopes=(conversation.scope_id,))
    spoken = base(get_language() or conversation.language)
    own = ArticleVersion.objects.readable_by(reader).filter(article__language=spoken)
    return replace(reader, language=spoken) if own.exists() else reader


def answered(heard: Heard, text: str) -> Reply:
    """What the help pages say to a question."""
    conversation = heard.conversation
    found = answers.answer(
        text.replace("\n", " "),
        reader=reader_of(conversation),
        source=f"conversation:{conversation.pk}",
        now=heard.now,
        customer=f"visitor:{conversation.visitor_id}",
        scope=conversation.scope,
    )
    if found.outcome == Outcome.ANSWER:
        return _answer(found, found.text)
    if found.outcome == Outcome.CHOOSE:
        return _choose(found, conversation)
    return missed(heard, found.asked)


def _answer(found: Answer, words: str) -> Reply:
    helped = choices((_("Yes, that helped"), _("Yes, that helped")), (_("No"), _("No")))
    data = {
        "answer": facts(found),
        "articles": [card(hit) for hit in found.hits],
        "choices": [*helped, *smalltalk.person_choice()],
    }
    words = words or found.hits[0].title  # an article may be a picture alone, and nobody is answered by silence
    return Reply(_cut(words, LONGEST), BotTurn.Outcome.ANSWERED, data, asked=found.asked)


def _choose(found: Answer, conversation: Conversation) -> Reply:
    offered: list[dict[str, Any]] = [
        {"label": hit.title[:80], "send": hit.title, "article": hit.version} for hit in found.hits
    ]
    data = {
        "answer": facts(found) | {"article_version_ids": []},
        "choices": [*offered, *choices((_("None of these"), _("None of these"))), *smalltalk.person_choice()],
    }
    words = _("I am not quite sure what you mean. Is it one of these?")
    return Reply(words, BotTurn.Outcome.CHOICES, data, misses=conversation.misses, asked=found.asked)


def missed(heard: Heard, asked: int | None) -> Reply:
    """The bot is not sure: say so, and offer a person; the second time in a row, bring one in."""
    misses = heard.conversation.misses + 1
    if misses >= MISSES:
        from apps.chat.bot.thinking import handed  # it stands above this module

        if asked is not None:
            answers.escalated(asked)
        return handed(Handoff.Reason.MISSES)
    words = _("I am not sure about that. Could you put it in other words? Or talk to a person.")
    data = {"answer": {"article_version_ids": [], "sure": False}, "choices": smalltalk.person_choice()}
    return Reply(words, BotTurn.Outcome.NOT_SURE, data, misses=misses, asked=asked)


def unhelpful(heard: Heard) -> Reply:
    """The customer says that the last answer did not help."""
    last = BotTurn.objects.filter(conversation=heard.conversation, asked__isnull=False).order_by("-id").first()
    asked = last.asked_id if last else None
    if asked is not None:
        answers.unhelpful(asked)
    return missed(heard, asked)


def article(version: int, heard: Heard) -> Reply:
    """An article that was offered and chosen. It may have been taken down since."""
    rows = ArticleVersion.objects.readable_by(reader_of(heard.conversation))
    row = rows.select_related("article").filter(pk=version).first()
    if row is None:
        return missed(heard, None)
    parts = Passage.objects.filter(version=row, kind=Passage.Kind.BODY).order_by("position")
    words = "\n\n".join(parts.values_list("text", flat=True))
    hit = Hit(row.article_id, row.pk, row.article.slug, row.title, "", words, row.published_at, 1.0)
    return _answer(Answer(Outcome.ANSWER, (hit,), 1.0, 0, ""), words)


def facts(found: Answer) -> dict[str, Any]:
    """What the answer stands on, kept beside it."""
    return {
        "article_version_ids": [hit.version for hit in found.hits],
        "confidence": found.confidence,
        "settings": found.settings,
        "degraded": found.degraded,
        "asked": found.asked,
        "rephrased": found.rephrased,
    }


def card(hit: Hit) -> dict[str, str]:
    """An article as the widget shows it."""
    return {
        "title": hit.title,
        "url": f"{settings.SITE_URL}{reverse('help_article', args=[hit.slug])}",
        "updated": _iso(hit.updated_at),
        "excerpt": _cut(" ".join(hit.passage.split()), EXCERPT),
    }


def _iso(at: datetime | None) -> str:
    return at.date().isoformat() if at else ""


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rsplit(" ", 1)[0] + "…"
