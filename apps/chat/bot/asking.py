"""Asking for details, one by one, and reading the customer's next message as the answer: lookups and hand-offs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import structlog
from django.utils.translation import gettext as _

from apps.chat import live
from apps.chat.bot import handing, intake, metrics, smalltalk, wishes
from apps.chat.bot.hearing import CODE, CONTACT, NUMBER, PATIENCE, what_was_heard
from apps.chat.bot.lookup import failing, orders, proof, subscriptions
from apps.chat.bot.replies import Effect, Reply
from apps.chat.models import BotTurn, Conversation, Dialogue, Handoff, Verification

if TYPE_CHECKING:
    from apps.chat.bot.thinking import Heard

logger = structlog.get_logger(__name__)
Outcome, Matter = BotTurn.Outcome, Verification.Matter
TRIES = 2
"""Times in a row that an answer may not be recognised; then a person has it, or the field stays empty."""
QUESTION_WORDS = 4
_BARE = re.compile(r"(?<![\w@.])#?(?=[\w-]*\d)[A-Za-z0-9][A-Za-z0-9-]{2,63}(?![\w@])")
_UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){0,3}(?:-[0-9a-f]{12})?\b", re.IGNORECASE)


def reference_in(text: str, matter: str, *, asked: bool) -> str:
    """The number of an order or subscription in a text; where it was asked for, any number will do."""
    if matter == Matter.SUBSCRIPTION:
        found = _UUID.search(text)
        return found.group() if found else ""
    if number := intake.order_number(text):
        return number
    bare = _BARE.search(text) if asked else None
    return bare.group().lstrip("#") if bare else ""


def begin_lookup(heard: Heard, matter: str, text: str) -> Reply:
    """The customer wants to know how an order or a subscription stands."""
    reference = reference_in(text, matter, asked=False)
    done = proof.proven(heard.conversation, matter, heard.now)
    same = not reference or (
        done and bytes(done.reference_digest) == proof.digest("reference", proof.plain_reference(reference))
    )
    if done and same:
        return told(heard, done)
    return _next(heard, matter, {"number": reference} if reference else {})


def of_lookup(heard: Heard) -> Reply | None:
    """The next step of a lookup that was begun; None if the bot asks for nothing of the kind."""
    dialogue, now = heard.dialogue, heard.now
    if dialogue is None or dialogue.matter not in (Matter.ORDER, Matter.SUBSCRIPTION):
        return None
    text = "\n".join(heard.lines)
    if wishes.is_whole("cancel", text):
        words = _("All right. What else can I do for you?")
        return Reply(words, Outcome.SMALL_TALK, action="cancel_dialogue", effects=(_forget,))
    if dialogue.asking == CODE:
        return _code(heard, dialogue, text, now)
    known = dict(dialogue.known)
    if dialogue.asking == NUMBER and (number := reference_in(text, dialogue.matter, asked=True)):
        known["number"] = number
        return _next(heard, dialogue.matter, known)
    if dialogue.asking == CONTACT and what_was_heard(dialogue).get("contact"):
        if number := reference_in(text, dialogue.matter, asked=False):
            known["number"] = number
        return _next(heard, dialogue.matter, known)
    return _again(heard, dialogue, text)


def _next(heard: Heard, matter: str, known: Mapping[str, str]) -> Reply:
    """Ask for what is missing, or mail the code."""
    conversation = heard.conversation
    if not known.get("number"):
        return _asked(_number_words(matter), matter, NUMBER, known, "ask_number")
    contact = what_was_heard(heard.dialogue).get("contact") or _signed(conversation)
    if not contact:
        return _asked(_contact_words(matter), matter, CONTACT, known, "ask_contact")
    if proof.too_many(conversation, known["number"], contact, heard.now):
        metrics.lookups_total.labels(matter, "too_many").inc()
        from apps.chat.bot.thinking import handed  # it stands above this module

        return handed(Handoff.Reason.MISSES, internal="Too many proofs were begun for a lookup within an hour.")

    def effect(conversation: Conversation, now: datetime) -> None:
        proof.begin(conversation, matter, known["number"], contact, now)
        _expect(conversation, matter, CODE, {}, now)

    words = _(
        "If these details belong together, a code of six digits is on its way to the e-mail address that we have for it. "
        "Please type the code here."
    )
    return Reply(words, Outcome.ASKED, _form(CODE), action="ask_code", effects=(effect,))


def _signed(conversation: Conversation) -> str:
    """The address that the page vouches for; what visitors say of themselves is asked."""
    return conversation.visitor.email if conversation.visitor.external_id else ""


def _code(heard: Heard, dialogue: Dialogue, text: str, now: datetime) -> Reply:
    conversation = heard.conversation
    code = what_was_heard(dialogue).get("code", "")
    if not code:
        done = None if _open(conversation) else proof.proven(conversation, dialogue.matter, now)
        if done:  # the right code came, but the answer was void because another message followed
            return told(heard, done)
        return _no_code(text) if wishes.is_whole("no_code", text) else _again(heard, dialogue, text)
    # Taken out before it is tried, so that it is tried once whatever becomes of this answer.
    Dialogue.objects.filter(pk=dialogue.pk, heard=dialogue.heard).update(heard="")
    outcome = proof.check(conversation.pk, code, now)
    done = proof.proven(conversation, dialogue.matter, now) if outcome == proof.Checked.RIGHT else None
    if done:
        return told(heard, done)
    if outcome == proof.Checked.WRONG:
        return Reply(_("That code is not right. Please look again."), Outcome.ASKED, _form(CODE), action="ask_code")
    words = _("No more codes are taken for this. You can ask me again for a new one, or talk to a person.")
    return Reply(words, Outcome.ASKED, {"choices": smalltalk.person_choice()}, effects=(_forget,))


def _open(conversation: Conversation) -> bool:
    return bool(Verification.objects.filter(conversation=conversation, ended_at=None).exists())


def _no_code(text: str) -> Reply:
    words = _(
        "The mail may take a minute, and may lie in the spam folder. It goes only to the address that we have for the "
        "number that you gave. If it does not come, a colleague can help."
    )
    return Reply(words, Outcome.ASKED, {"choices": smalltalk.person_choice()})


def told(heard: Heard, done: Verification) -> Reply:
    """How a proven order or subscription stands. Asks another system: not within a transaction."""
    from apps.chat.bot.thinking import handed  # it stands above this module

    _shows_writing(heard, on=True)  # the shop may take a moment
    try:
        found = (orders if done.matter == Matter.ORDER else subscriptions).status(int(done.subject_id or 0), heard.now)
    except Exception as error:  # the boundary of a tool: its failure hands over, and is logged
        logger.exception("lookup_failed", conversation=heard.conversation.pk)
        metrics.lookups_total.labels(done.matter, "failed").inc()
        return handed(Handoff.Reason.FAILURE, internal=f"The lookup failed ({type(error).__name__}).")
    finally:
        _shows_writing(heard, on=False)
    if found is None:
        return handed(Handoff.Reason.FAILURE, internal="What was proven is not there any more.")
    data = {"lookup": {"matter": done.matter, "number": found.number, "known_at": found.known_at.isoformat()}}
    if found.fresh:
        metrics.lookups_total.labels(done.matter, "told").inc()
        return Reply(found.text, Outcome.LOOKED_UP, data, action="lookup", effects=(_forget,))
    metrics.lookups_total.labels(done.matter, "down").inc()
    return failing.down(heard, found, data)


def _shows_writing(heard: Heard, *, on: bool) -> None:
    live.typing(heard.conversation, who="bot", name=heard.conversation.site.name, on=on)


def _again(heard: Heard, dialogue: Dialogue, text: str) -> Reply:
    """What was said does not answer: perhaps it is a question of its own, otherwise ask once more."""
    from apps.chat.bot.thinking import guarded, handed  # it stands above this module

    if len(text.split()) >= QUESTION_WORDS or text.rstrip().endswith("?"):
        said = guarded(heard, text)
        if said.outcome == Outcome.ANSWERED:
            return said
    if dialogue.tries + 1 >= TRIES:
        return handed(Handoff.Reason.MISSES, internal="The details for a lookup were not recognised.")
    question = {
        NUMBER: _number_words(dialogue.matter),
        CONTACT: _contact_words(dialogue.matter),
        CODE: _("Please type the code of six digits from the mail."),
    }[dialogue.asking]
    words = _("I did not recognise that.") + " " + question
    return Reply(words, Outcome.ASKED, _form(dialogue.asking), action=f"ask_{dialogue.asking}", effects=(_tried,))


def _asked(words: str, matter: str, field: str, known: Mapping[str, str], action: str) -> Reply:
    def effect(conversation: Conversation, now: datetime) -> None:
        _expect(conversation, matter, field, known, now)

    return Reply(words, Outcome.ASKED, _form(field), action=action, effects=(effect,))


def _expect(conversation: Conversation, matter: str, field: str, known: Mapping[str, str], now: datetime) -> None:
    """Read the next message as the answer. What was heard stays until it is used: a code's step needs nothing of it."""
    values: dict[str, Any] = {
        "context": conversation.context, "matter": matter, "asking": field, "known": dict(known), "tries": 0,
        "expires_at": now + PATIENCE,
    }  # fmt: skip
    if field == CODE:
        values["heard"] = ""
    Dialogue.objects.update_or_create(conversation=conversation, defaults=values)


def _forget(conversation: Conversation, now: datetime) -> None:
    Dialogue.objects.filter(conversation=conversation).delete()


def _tried(conversation: Conversation, now: datetime) -> None:
    dialogue = Dialogue.objects.filter(conversation=conversation).first()
    if dialogue:
        dialogue.tries, dialogue.expires_at = dialogue.tries + 1, now + PATIENCE
        dialogue.save(update_fields=["tries", "expires_at"])


def _number_words(matter: str) -> str:
    if matter == Matter.ORDER:
        return _("I can look that up. What is the number of your order?")
    return _("I can look that up. What is the number of your subscription? It stands in the mails about it.")


def _contact_words(matter: str) -> str:
    if matter == Matter.ORDER:
        return _("Which e-mail address did you use for the order? It is not shown in the chat.")
    return _("Which e-mail address belongs to the subscription? It is not shown in the chat.")


def _form(field: str) -> dict[str, Any]:
    labels = {NUMBER: _("Number"), CONTACT: _("E-mail address"), CODE: _("Code")}
    return {"form": {"field": field, "label": labels[field]}}


def of_handoff(heard: Heard) -> Reply:
    """What a customer says who waits for a person: the answer to what the team needs to know."""
    dialogue = heard.dialogue
    if dialogue is None or dialogue.matter != Dialogue.Matter.HANDOFF or not heard.lines:
        return Reply("", "")
    text, field = "\n".join(heard.lines), dialogue.asking
    if wishes.is_whole("cancel", text) or wishes.wants_person(text) or wishes.is_angry(text):
        return Reply("", Outcome.ASKED, action="ask_field", effects=(handing.enough,))
    value = "" if _skips(text) else intake.answer(field, text, what_was_heard(dialogue))
    if value or _skips(text) or dialogue.tries + 1 >= TRIES:
        return Reply("", Outcome.ASKED, action="ask_field", effects=(_taken(field, value),))
    words = _("I did not recognise that.") + " " + intake.question(field)
    return Reply(words, Outcome.ASKED, handing.form(field), effects=(_tried,))


def _skips(text: str) -> bool:
    return wishes.is_whole("skip", text) or text.strip() == _("Skip")


def _taken(field: str, value: str) -> Effect:
    def effect(conversation: Conversation, now: datetime) -> None:
        handing.answered(conversation, field, value, now)

    return effect
