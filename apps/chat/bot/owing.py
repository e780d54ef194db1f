"""Owing answers: a customer's message makes, or moves on, the one due turn of its conversation.

This happens in the transaction that stores the message, under the conversation's row lock, so no message is without an
answer to come. Who pays the answers is in ``turns``.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from apps.chat.models import BotTurn, Conversation, Dialogue

PAUSE = timedelta(seconds=1.2)
"""How long the bot waits for more of a message that looks unfinished, or while the customer is writing."""
LONGEST_WAIT = timedelta(seconds=8)
"""After so long the bot answers although the customer is still writing."""
_FINISHED = re.compile(r"[.!?…。！？؟)\]]\s*$")
_FEW = 3  # words; shorter ones without a full stop are often the beginning of a burst
TALKING = (Conversation.State.BOT, Conversation.State.WAITING)

_OWE = """
    INSERT INTO chat_botturn (conversation_id, context, turn, up_to_seq, state, due_at, tries, outcome, action, error, created_at)
    VALUES (%(conversation)s, %(context)s, %(turn)s, %(seq)s, 'due', %(due)s, 0, '', '', '', %(now)s)
    ON CONFLICT (conversation_id) WHERE state = 'due' DO UPDATE SET
        context = excluded.context, turn = excluded.turn, up_to_seq = excluded.up_to_seq, tries = 0, error = '',
        due_at = CASE WHEN chat_botturn.tries = 0 AND chat_botturn.created_at > %(now)s - %(patience)s::interval
            THEN greatest(excluded.due_at, %(later)s) ELSE excluded.due_at END,
        created_at = CASE WHEN chat_botturn.created_at > %(now)s - %(patience)s::interval
            THEN chat_botturn.created_at ELSE excluded.created_at END
"""


def owe(conversation: Conversation, now: datetime, text: str = "") -> None:
    """Note that the bot has to answer a customer's message. Called while holding the conversation's row lock.

    A message that looks complete is due at once; one that does not, or that follows another closely, a little later.
    """
    seconds = noted(conversation, now, text)
    if seconds is not None:
        transaction.on_commit(lambda: hand_out(conversation.pk, seconds), robust=True)


def noted(conversation: Conversation, now: datetime, text: str) -> float | None:
    """The same, without asking a worker, which :func:`hand_out` does after commit.

    Returns:
        After how many seconds the answer is due; None if the bot owes none.
    """
    if conversation.state not in TALKING:
        return None
    if conversation.state == Conversation.State.WAITING and not _asks(conversation):
        return None
    due = now + (timedelta(0) if _complete(text) else PAUSE)
    values: dict[str, Any] = {
        "conversation": conversation.pk, "context": conversation.context, "turn": conversation.turn,
        "seq": conversation.seq, "due": due, "later": now + PAUSE, "now": now, "patience": LONGEST_WAIT,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_OWE, values)
    return (due - now).total_seconds()


def _asks(conversation: Conversation) -> bool:
    """Whether the bot still asks for what the team needs to know, before somebody comes."""
    return Dialogue.objects.filter(conversation=conversation, context=conversation.context).exists()


def _complete(text: str) -> bool:
    return bool(_FINISHED.search(text)) or len(text.split()) > _FEW or text.strip().isdigit()


def hand_out(conversation_id: int, seconds: float) -> None:
    """Ask a worker to answer when it is due; if nobody hears that, the sweep of the due turns finds it."""
    from apps.chat.tasks import answer_turn  # not at the top: the tasks call this module

    answer_turn.apply_async([conversation_id], countdown=seconds or None)


def still_writing(conversation_id: int, now: datetime) -> None:
    """The customer is writing: the answer waits a little, but never longer than :data:`LONGEST_WAIT` altogether.

    A turn that a worker has already is left alone.
    """
    waiting = BotTurn.objects.filter(conversation=conversation_id, state=BotTurn.State.DUE, tries=0)
    waiting.filter(created_at__gt=now - LONGEST_WAIT, due_at__lt=now + PAUSE).update(due_at=now + PAUSE)
