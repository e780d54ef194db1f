"""What a person who takes a conversation reads first. Facts from rows, in the staff's language; nothing is invented."""

from __future__ import annotations

from collections.abc import Mapping

from apps.chat.bot import wishes
from apps.chat.models import BotTurn, Conversation, Event, Handoff, Verification

QUOTED = 3
"""So many of the customer's last messages are quoted."""
_LABELS = {
    "summary": "About", "order_reference": "Order", "requester_name": "Name", "requester_contact": "Contact",
}  # fmt: skip


def summary_of(conversation: Conversation, reason: str, known: Mapping[str, str], internal: str = "") -> str:
    """Why it was handed over, what is known, what was asked last, and what the bot did."""
    lines = [f"Why: {Handoff.Reason(reason).label}."]
    lines += [internal] if internal else []
    lines += [f"{label}: {known[name]}" for name, label in _LABELS.items() if known.get(name)]
    said = Event.objects.filter(conversation=conversation, author="customer", kind="message").order_by("-seq")
    last = [" ".join(text.split())[:200] for text in said.values_list("text", flat=True)[:QUOTED]]
    about = " ".join(known.get("summary", "").split())
    lines += [f"Customer: {text}" for text in reversed(last) if text and text not in about and not _says_nothing(text)]
    lines += _done(conversation)
    return "\n".join(lines)[:4_000]


def beside_fields(summary: str, reason: str, known: Mapping[str, str]) -> str:
    """What a summary tells beside the reason and the fields, for a page that shows these by themselves."""
    said = f"{summary}\n".replace(f"Why: {Handoff.Reason(reason).label}.\n", "", 1)
    for name, label in _LABELS.items():
        said = said.replace(f"{label}: {known[name]}\n", "", 1) if known.get(name) else said
    return said.strip()


def _says_nothing(text: str) -> bool:
    """Whether somebody who knows the reason learns nothing from a message."""
    return len(text.split()) <= 2 and any(wishes.is_whole(kind, text) for kind in ("skip", "greeting", "thanks", "bye"))


def _done(conversation: Conversation) -> list[str]:
    turns = BotTurn.objects.filter(conversation=conversation, context=conversation.context, state="done")
    answers = Event.objects.filter(conversation=conversation, author="bot", data__has_key="articles").order_by("-seq")
    titles = [one["title"] for data in answers.values_list("data", flat=True)[:QUOTED] for one in data["articles"]]
    lines = [f"Bot showed: {title}" for title in dict.fromkeys(titles)]
    missed = turns.filter(outcome=BotTurn.Outcome.NOT_SURE).count()
    lines += [f"Bot was not sure: {missed} times"] if missed else []
    proofs = Verification.objects.filter(conversation=conversation, context=conversation.context)
    for proof in proofs.order_by("id"):
        lines.append(f"{proof.get_matter_display()}: {'proven by code' if proof.passed_at else 'not proven'}")
    return lines
