"""Chat: sites with a widget, visitors and their sessions, conversations and what happened in them."""

from apps.chat.models.bot import BotTurn, Dialogue, Verification
from apps.chat.models.conversations import Conversation, Event, Reading, Upload
from apps.chat.models.handoffs import Handoff, HandoffRating, Rating
from apps.chat.models.mails import TranscriptMail
from apps.chat.models.policies import ChatPolicyVersion
from apps.chat.models.sites import ChatSession, ChatSite, Visitor

__all__ = [
    "BotTurn",
    "ChatPolicyVersion",
    "ChatSession",
    "ChatSite",
    "Conversation",
    "Dialogue",
    "Event",
    "Handoff",
    "HandoffRating",
    "Rating",
    "Reading",
    "TranscriptMail",
    "Upload",
    "Verification",
    "Visitor",
]
