"""Lists of conversations and events that people see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q

from apps.core.scope import in_scope, scope_ids_of, sees_every_scope

if TYPE_CHECKING:
    from apps.chat.models import ChatSite, Conversation, Event, Visitor
    from apps.core.models import User


class ChatSiteQuerySet(models.QuerySet["ChatSite"]):
    def visible_to(self, user: User) -> ChatSiteQuerySet:
        """Those of the person's scopes."""
        return in_scope(self, user)


class VisitorQuerySet(models.QuerySet["Visitor"]):
    def visible_to(self, user: User) -> VisitorQuerySet:
        """Those who wrote to a site of the person's scopes."""
        return in_scope(self, user, "site__scope")


class ConversationQuerySet(models.QuerySet["Conversation"]):
    """Conversations by who may see them and what they wait for."""

    def visible_to(self, user: User) -> ConversationQuerySet:
        """Those of the person's scopes and of the teams of these, if the role reads conversations at all.

        Whoever gives a conversation to a team makes it visible there, wherever the site stands.
        """
        if not (user.is_active and user.has_perm("chat.view_conversation")):
            return self.none()
        if sees_every_scope(user):
            return self
        scopes = scope_ids_of(user)
        return self.filter(Q(scope__in=scopes) | Q(team__scope__in=scopes))

    def open(self) -> ConversationQuerySet:
        return self.exclude(state="resolved")

    def of(self, user: User) -> ConversationQuerySet:
        """Those the person talks in."""
        return self.filter(state="person", assignee=user)

    def waiting(self) -> ConversationQuerySet:
        """Those nobody has taken, the longest waiting first."""
        return self.filter(state="waiting").order_by("waiting_since", "id")

    def unjudged(self) -> ConversationQuerySet:
        """Those with events that the indicators of risks have not seen."""
        return self.filter(judged_seq__lt=models.F("seq"))


class EventQuerySet(models.QuerySet["Event"]):
    """Events in their order."""

    def after(self, seq: int) -> EventQuerySet:
        """The one way for first load, reconnect, repair of gaps and polling."""
        return self.filter(seq__gt=seq).order_by("seq")

    def for_customer(self) -> EventQuerySet:
        return self.filter(internal=False)

    def said(self) -> EventQuerySet:
        """Words between customer and company, without notes and changes of state."""
        return self.filter(Q(kind="message") | Q(kind="file"), internal=False)
