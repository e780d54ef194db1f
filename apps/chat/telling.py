"""Telling a team that a customer waits: in the inbox of each member who can answer now, once for each wait."""

from __future__ import annotations

from apps.chat.models import Conversation
from apps.core.models import User
from apps.core.notifications import notify
from apps.escalation.models import Team

KIND = "chat"
MAY_ANSWER = "chat.chat_with_customer"


def those_there(team: Team | None) -> list[User]:
    """Members of a team who are available, and whose role talks with customers."""
    if team is None:
        return []
    members = team.members.filter(available=True, user__is_active=True).select_related("user").order_by("user")
    return [member.user for member in members if member.user.has_perm(MAY_ANSWER)]


def tell_team(conversation: Conversation, team: Team, why: str, *, but: User | None = None) -> int:
    """Tell those who are there of a conversation in their queue, in the caller's transaction. Returns how many are told anew.

    Nothing that the customer said or is called stands in it, for the inbox is kept longer than conversations are. It is not
    mailed: by the time a mail is read, the customer has gone or was answered.

    Args:
        why: why it waits, for a person who reads only this.
        but: who gave it there, and knows.
    """
    about = f" About: {conversation.category.name}." if conversation.category else ""
    return notify(
        kind=KIND,
        recipients=[person for person in those_there(team) if person != but],
        title=f"A customer waits for {team.name}",
        body=f"{why}.{about}",
        url=f"/admin/chat/desk/{conversation.public_id}/",
        dedupe_key=f"conversation:{conversation.pk}:waits:{conversation.context}:{team.pk}",
        inbox_only=True,
    )
