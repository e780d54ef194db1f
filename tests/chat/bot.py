"""A shop with articles, people and a bot, for tests of the bot; and a way to talk with it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from apps.chat.bot import turns
from apps.chat.models import BotTurn, ChatSite, Conversation, Event
from apps.chat.saying import say
from apps.core.roles import Role
from apps.escalation.models import Calendar, Member, Team
from apps.knowledge.search import passages
from tests.chat.factories import NOON, chat_site, conversation
from tests.core.factories import person
from tests.escalation.factories import calendar, team
from tests.knowledge.factories import VersionFactory, published

NIGHT = NOON.replace(hour=23)
ARTICLES = {
    "Where is my parcel?": "The tracking page shows where it is. It needs four days to Norway.",
    "How do I return something?": "Print the label from your account and bring the box to the post office.",
    "Can I pay by invoice?": "Companies can pay by invoice within 30 days.",
    "How do I change my password?": "Choose Account, then Security, then New password.",
    "Do you ship to other countries?": "We ship to all countries of Europe.",
    "How do I cancel my subscription?": "Choose Account, then Subscriptions, then Cancel.",
}


def shelf() -> None:
    """Six live articles."""
    found = [published(VersionFactory.create(title=title, body=body)) for title, body in ARTICLES.items()]
    passages.index([version.article_id for version in found])


def staffed(hours: Calendar | None = None, **fields: Any) -> tuple[ChatSite, Team]:
    """A site whose team works Monday to Friday in Berlin, with one person there."""
    crew = team(calendar=hours or calendar(hours=((540, 1080),)))
    Member.objects.create(team=crew, user=person(Role.SUPPORT_AGENT, crew.scope))
    return chat_site(crew.scope, team=crew, **fields), crew


class Talk:
    """A conversation, told by what is said. Each :meth:`ask` lets the bot answer at once."""

    def __init__(self, site: ChatSite | None = None, now: datetime = NOON, **fields: Any) -> None:
        self.row: Conversation = conversation(site, **fields)
        self.now = now

    def write(self, text: str, **more: Any) -> Event:
        self.now += timedelta(seconds=5)
        said = say(
            conversation_id=self.row.pk, author="customer", text=text, now=self.now, client_id=uuid4(), **more
        ).event  # fmt: skip
        self.row.refresh_from_db()
        return said

    def ask(self, text: str) -> str:
        """What the bot says to a message: all of its words, or nothing."""
        before = self.write(text).seq
        self.answer()
        return " ".join(self.after(before))

    def answer(self) -> int:
        done = turns.answer_due(self.now + timedelta(seconds=2))
        self.now += timedelta(seconds=3)
        self.row = Conversation.objects.get(pk=self.row.pk)
        return done

    def after(self, seq: int) -> list[str]:
        return [event.text for event in self.row.events.filter(author="bot", seq__gt=seq) if event.text]

    @property
    def last(self) -> Event:
        return self.row.events.filter(author="bot", kind="message").order_by("-seq")[0]

    @property
    def outcome(self) -> str:
        return BotTurn.objects.filter(conversation=self.row).order_by("-id")[0].outcome

    @property
    def action(self) -> str:
        return BotTurn.objects.filter(conversation=self.row).order_by("-id")[0].action
