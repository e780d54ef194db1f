"""Which language a message is in, by its commonest words.

Short messages are what chat is made of: statistical detectors need about ten words, and a wrong guess changes the language
of the whole conversation. Here a language must have at least two telling words and twice as many as the next one, otherwise
nothing is said about the message and the conversation keeps its language.
"""

from __future__ import annotations

from django.conf import settings

from apps.chat.bot.wishes import plain, wordings

ENOUGH = 2
"""Telling words that a message must have."""


def spoken() -> frozenset[str]:
    """The languages that the bot answers in."""
    offered = {code for code, _ in settings.LANGUAGES}
    return frozenset(each.language for each in wordings() if each.language in offered)


def detected(text: str) -> str:
    """The language of a message, or empty if it is not sure."""
    words = plain(text).split()
    counts = sorted(((sum(word in each.telling for word in words), each.language) for each in wordings()), reverse=True)
    (most, language), *rest = counts
    others = rest[0][0] if rest else 0
    return language if most >= ENOUGH and most >= 2 * others and language in spoken() else ""


def base(language: str) -> str:
    """A language that the bot speaks, for one such as ``de-AT``; English where it does not speak it."""
    short = language.split("-")[0].lower()
    return short if short in spoken() else "en"
