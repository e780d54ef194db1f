"""What the bot decided: words and action are separate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from apps.chat.models import BotTurn, Conversation

Effect = Callable[[Conversation, datetime], None]
"""Runs in the transaction that stores the answer, under the conversation's row lock; never a network or model call."""

ACTIONS = frozenset(
    ["handoff", "ask_number", "ask_contact", "ask_code", "lookup", "ask_field", "resolve", "cancel_dialogue", "ticket"]
)
"""Everything that the bot can do beside speaking. Nothing else is reachable from a conversation."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer.

    Attributes:
        text: what is said; empty where the effect speaks.
        data: what stands beside the words: the answer's facts, articles, choices, a form.
        action: of :data:`ACTIONS`, or empty.
        misses: times in a row that the bot was not sure, this one included.
        asked: key of the knowledge base's kept question.
        language: if the customer is to be answered in another one from now on.
    """

    text: str
    outcome: BotTurn.Outcome | str
    data: Mapping[str, Any] = field(default_factory=dict)
    action: str = ""
    misses: int = 0
    asked: int | None = None
    language: str = ""
    effects: tuple[Effect, ...] = ()

    def __post_init__(self) -> None:
        if self.action and self.action not in ACTIONS:
            raise ValueError(f"The bot has no action {self.action}.")


def choices(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    """Choices for the customer: what the button says, and what it sends."""
    return [{"label": label, "send": send} for label, send in pairs]
