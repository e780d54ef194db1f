"""What is said to small talk. It never counts as a miss, and never as an answer."""

from __future__ import annotations

from django.utils.translation import gettext as _

from apps.chat.bot import wishes
from apps.chat.bot.replies import choices

KINDS = ("greeting", "thanks", "bye", "are_you_bot", "how_are_you", "can_do")
PERSON = "person"


def kind_of(text: str) -> str:
    """Which kind of small talk a message is, if it is nothing else; otherwise empty."""
    return next((kind for kind in KINDS if wishes.is_whole(kind, text)), "")


def without(lines: list[str]) -> list[str]:
    """The messages of a burst without those that are small talk only, as long as something else is left."""
    telling = [line for line in lines if not kind_of(line)]
    return telling or lines


def words(kind: str, name: str = "") -> str:
    """The answer to a kind of small talk.

    Args:
        name: of the customer, if the page told it.
    """
    greeting = _("Hello %(name)s!") % {"name": name} if name else _("Hello!")
    return {
        "greeting": f"{greeting} " + _("What can I do for you?"),
        "thanks": _("You are welcome! Is there anything else?"),
        "bye": _("Thank you for writing to us. Have a good day!"),
        "are_you_bot": _(
            "I am a program, not a person. I answer questions from our help pages and can look up orders; for everything "
            "else I bring in a colleague."
        ),
        "how_are_you": _("Thank you for asking, I run well. What can I do for you?"),
        "can_do": _(
            "I answer questions from our help pages, tell you where your order is, and bring in a colleague whenever you like."
        ),
    }[kind]


def person_choice() -> list[dict[str, str]]:
    """The choice that is always there: to talk with a person."""
    label = _("Talk to a person")
    return choices((label, label))
