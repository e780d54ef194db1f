"""What the desk offers while somebody writes: prepared answers, articles, and people and teams to give on to."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import Count, Q, QuerySet
from django.urls import reverse

from apps.chat.binding import State
from apps.chat.desk.lists import shown_person
from apps.chat.models import Conversation
from apps.core.models import User
from apps.core.numbers import whole
from apps.core.scope import people_in, scope_ids_of, sees_every_scope
from apps.escalation.canned import filled
from apps.escalation.models import CannedReply, Member, Team
from apps.knowledge import answers
from apps.knowledge.calibration import current_settings
from apps.knowledge.models import ArticleVersion, Passage
from apps.knowledge.search.retrieve import Reader

MOST = 8
PEOPLE = 60
EXCERPT = 280


def canned(conversation: Conversation, user: User, query: str) -> list[dict[str, Any]]:
    """Prepared answers of the conversation's category and of none, filled in."""
    rows = CannedReply.objects.filter(Q(category=None) | Q(category=conversation.category_id))
    for word in query.split()[:5]:
        rows = rows.filter(Q(title__icontains=word) | Q(body__icontains=word))
    values = {
        "requester": conversation.visitor.name or "customer",
        "ticket": conversation.ticket.number if conversation.ticket else "your request",
        "agent": user.get_full_name() or user.get_username(),
        "subject": conversation.subject,
        "order": "your order",
    }
    return [
        {"id": one.pk, "title": one.title, "text": filled(one, values)} for one in rows.order_by("title")[: 3 * MOST]
    ]


def articles(user: User, query: str) -> list[dict[str, Any]]:
    """Articles that answer a question, best first; those for staff are marked, for they are not sent to customers."""
    if not query.strip() or not user.has_perm("knowledge.view_article"):
        return []
    scopes = None if sees_every_scope(user) else tuple(scope_ids_of(user))
    found = answers.find(query[: answers.LONGEST], Reader(internal=True, scopes=scopes), current_settings())
    ranked = [candidate for candidate, _ in found.ranked[:MOST]]
    versions = _published().in_bulk([candidate.version for candidate in ranked])
    passages = Passage.objects.in_bulk([candidate.passage for candidate in ranked])
    return [
        _article(versions[one.version], passages[one.passage].text if one.passage in passages else "")
        for one in ranked
        if one.version in versions
    ]


def cards(ids: list[Any]) -> list[dict[str, Any]]:
    """Articles by the ids of their versions as cards that stand beside an answer; only what customers may read."""
    keys = [key for key in (whole(str(one)) for one in ids[:3]) if key is not None]
    found = _published().filter(article__audience="public").in_bulk(keys)
    return [_card(found[pk]) for pk in keys if pk in found]


def _card(version: ArticleVersion) -> dict[str, Any]:
    """For customers, whose page is on another server: a whole address, and words without marks."""
    first = Passage.objects.filter(version=version, kind=Passage.Kind.BODY).order_by("position").first()
    card = _article(version, first.text if first else version.title)
    del card["internal"]
    return card | {"url": f"{settings.SITE_URL}{card['url']}"}


def people(conversation: Conversation, user: User) -> dict[str, Any]:
    """Who could have a conversation, with how many they have; those of its team first."""
    team = conversation.team
    wanted = people_in(conversation.scope)
    if team:
        wanted = wanted | people_in(team.scope)
    may = Q(groups__permissions__codename="chat_with_customer") | Q(is_superuser=True)
    rows = User.objects.filter(pk__in=wanted.values("pk")).filter(pk__in=User.objects.filter(may).values("pk"))
    rows = rows.filter(is_staff=True).annotate(
        talks=Count("conversations", filter=Q(conversations__state=State.PERSON))
    )
    away = set(Member.objects.filter(available=False).values_list("user", flat=True))
    members = set(team.members.values_list("user", flat=True)) if team else set()
    found = [
        {
            **shown_person(one),
            "talks": one.talks,
            "away": one.pk in away,
            "of_team": one.pk in members,
            "me": one.pk == user.pk,
        }
        for one in rows.order_by("first_name", "username")[:PEOPLE]
    ]
    teams = Team.objects.filter(active=True).exclude(pk=conversation.team_id or 0).order_by("name")
    return {
        "people": sorted(found, key=lambda one: (not one["of_team"], one["away"])),
        "teams": [{"id": one.pk, "name": one.name} for one in teams[:PEOPLE]],
    }


def _published() -> QuerySet[ArticleVersion]:
    rows: QuerySet[ArticleVersion] = ArticleVersion.objects.published().select_related("article")
    return rows


def _article(version: ArticleVersion, passage: str) -> dict[str, Any]:
    article = version.article
    return {
        "version": version.pk,
        "title": version.title,
        "excerpt": " ".join((passage or version.body).split())[:EXCERPT],
        "updated": version.published_at.date().isoformat() if version.published_at else "",
        "url": reverse("help_article", args=[article.slug]),
        "internal": article.audience != "public",
    }
