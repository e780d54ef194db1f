"""Deciding what is said to a customer: reads rows and asks tools, outside transactions, and writes nothing but attempts.

The order of the steps is the policy, and it is the same for every text: a site without a bot, signs that a person is needed,
an answer to what was asked, a choice that was offered, small talk, hours, a lookup, and last the help pages.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import structlog
from django.utils import translation
from django.utils.translation import gettext as _

from apps.chat.bot import answering, asking, hours, intake, signals, smalltalk, wishes
from apps.chat.bot.handing import hand_off
from apps.chat.bot.language import base, detected
from apps.chat.bot.replies import Reply
from apps.chat.conversations import resolve
from apps.chat.models import BotTurn, Conversation, Dialogue, Event, Handoff

logger = structlog.get_logger(__name__)
Outcome, Reason, State = BotTurn.Outcome, Handoff.Reason, Conversation.State


@dataclass(frozen=True, slots=True)
class Heard:
    """What is to be answered.

    Attributes:
        lines: the customer's messages since the bot or a person last spoke.
        dialogue: what the bot asks for, if it does.
        last: what the bot said last in this context, if anything.
    """

    conversation: Conversation
    lines: list[str]
    dialogue: Dialogue | None
    last: Event | None
    turn: BotTurn
    now: datetime

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def reply_to(turn: BotTurn, now: datetime) -> Reply:
    """What is said for a turn. Not to be called within a transaction: it asks the index, a model, perhaps a shop."""
    heard = listened(turn, now)
    conversation = heard.conversation
    language = detected(heard.text) or base(conversation.language)
    with translation.override(language):
        reply = _reply(heard)
    return replace(reply, language=language if language != base(conversation.language) else "")


def listened(turn: BotTurn, now: datetime) -> Heard:
    """The rows that a turn is about."""
    conversation = Conversation.objects.select_related("site__team", "visitor", "scope", "category").get(
        pk=turn.conversation_id
    )
    start = intake.context_start(conversation)
    events = Event.objects.filter(conversation=conversation, seq__gt=start, seq__lte=turn.up_to_seq)
    last = events.filter(kind="message", author__in=["bot", "agent"]).order_by("-seq").first()
    since = events.filter(author="customer", kind__in=["message", "file"], seq__gt=last.seq if last else start)
    lines = [text for text in since.order_by("seq").values_list("text", flat=True) if text.strip()]
    dialogue = Dialogue.objects.filter(
        conversation=conversation, context=conversation.context, expires_at__gt=now
    ).first()
    spoke = last if last and last.author == Event.Author.BOT else None
    return Heard(conversation, lines, dialogue, spoke, turn, now)


def _reply(heard: Heard) -> Reply:
    if heard.conversation.state == State.WAITING:
        return asking.of_handoff(heard)
    if not heard.conversation.site.has_bot:
        return handed(Reason.NO_BOT)
    if needed := _needs_person(heard):
        return handed(*needed)
    if heard.dialogue and heard.dialogue.asking and (step := asking.of_lookup(heard)):
        return step
    return _without_dialogue(heard)


def _needs_person(heard: Heard) -> tuple[str, str] | None:
    """Why a person has to have it at once, with a line for them."""
    if sign := signals.risk(heard.text, heard.conversation, heard.now):
        return Reason.RISK, f"Sign of risk: {sign}."
    if wishes.wants_person(heard.text):
        return Reason.WISH, ""
    if wishes.is_angry(heard.text):
        return Reason.ANGER, ""
    return None


def handed(reason: str, internal: str = "") -> Reply:
    """Bring in a person; the hand-off says the words."""

    def effect(conversation: Conversation, now: datetime) -> None:
        hand_off(conversation.pk, reason, now=now, internal=internal)

    return Reply("", Outcome.HANDED_OFF, action="handoff", effects=(effect,))


def _without_dialogue(heard: Heard) -> Reply:
    conversation, misses = heard.conversation, heard.conversation.misses
    if not heard.lines:  # a file, and no words with it
        text = _("I cannot read files. Please tell me in a sentence what it is about, or talk to a person.")
        return Reply(text, Outcome.NOT_SURE, {"choices": smalltalk.person_choice()}, misses=misses)
    lines = smalltalk.without(heard.lines)
    text = "\n".join(lines)
    if answered := _after_answer(heard, text):
        return answered
    if kind := smalltalk.kind_of(lines[-1]):
        data = {"choices": smalltalk.person_choice()} if kind in ("are_you_bot", "can_do") else {}
        return Reply(smalltalk.words(kind, conversation.visitor.name), Outcome.SMALL_TALK, data, misses=misses)
    if wishes.says("hours", text):
        return Reply(
            hours.words(hours.team_for(conversation), heard.now), Outcome.ANSWERED, {"answer": {"hours": True}}
        )
    if conversation.site.looks_up_orders and wishes.wants_lookup(text):
        return asking.begin_lookup(heard, "order" if wishes.wants_order(text) else "subscription", text)
    return guarded(heard, text)


def _after_answer(heard: Heard, text: str) -> Reply | None:
    """What a yes or no says about the last answer, and a choice among offered articles."""
    data = heard.last.data if heard.last else {}
    if chosen := next((one for one in data.get("choices", []) if one.get("article") and one["send"] == text), None):
        return answering.article(int(chosen["article"]), heard)
    if not data.get("articles"):
        offered = any(one.get("article") for one in data.get("choices", []))
        return answering.unhelpful(heard) if offered and wishes.is_whole("no", text) else None
    if wishes.is_whole("yes", text):
        return Reply(_("I am glad to hear that!"), Outcome.SMALL_TALK, action="resolve", effects=(_confirmed,))
    if wishes.is_whole("no", text):
        return answering.unhelpful(heard)
    return None


def _confirmed(conversation: Conversation, now: datetime) -> None:
    resolve(conversation.pk, None, seen_version=None, now=now, resolution=Conversation.Resolution.CONFIRMED)


def guarded(heard: Heard, text: str) -> Reply:
    """What the help pages say. Whatever ails them, the customer gets a person."""
    try:
        return answering.answered(heard, text)
    except Exception as error:  # the boundary of a tool: its failure hands over, and is logged
        logger.exception("answers_failed", conversation=heard.conversation.pk)
        return handed(Reason.FAILURE, internal=f"The search of articles failed ({type(error).__name__}).")
