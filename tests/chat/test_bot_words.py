"""What the bot says and understands is complete in every language, and it tells the languages apart."""

from __future__ import annotations

import ast
import gettext
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from apps.chat.bot import wishes
from apps.chat.bot.language import base, detected

BOT = Path(settings.BASE_DIR) / "apps" / "chat"
LANGUAGES = [code for code, _name in settings.LANGUAGES if code != "en"]
PLACES = re.compile(r"%\(\w+\)s")


def words_in_code() -> set[str]:
    """What the source hands to gettext."""
    found = set()
    for path in BOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("_", "gettext"):
                found.add(ast.literal_eval(node.args[0]))
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_everything_that_is_said_is_translated_with_its_places(language: str) -> None:
    catalogue = gettext.translation("django", settings.BASE_DIR / "locale", [language])
    for words in words_in_code():
        said = catalogue.gettext(words)
        assert said != words or words in ("Name", "Code"), f"not translated, or not compiled: {words}"
        assert set(PLACES.findall(said)) == set(PLACES.findall(words)), words


@pytest.mark.parametrize("language", ["en", *LANGUAGES])
def test_what_the_bot_offers_to_send_is_understood(language: str) -> None:
    with translation.override(language):
        assert wishes.wants_person(_("Talk to a person"))
        assert wishes.is_whole("yes", _("Yes, that helped"))
        assert wishes.is_whole("no", _("No"))
        assert wishes.is_whole("no", _("None of these"))
        assert wishes.is_whole("skip", _("Skip"))


def test_every_language_has_the_same_kinds_of_patterns() -> None:
    first, *others = wishes.wordings()
    for other in others:
        assert (set(other.whole), set(other.within)) == (set(first.whole), set(first.within))


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Where is my order and when will it arrive?", "en"),
        ("Wo ist meine Bestellung und wann kommt sie an?", "de"),
        ("Ich habe noch nichts bekommen", "de"),
        ("I am having a problem proving who I am", "en"),
        ("Ou est ma commande s'il vous plait", ""),
        ("12345", ""),
        ("", ""),
        ("ok", ""),
        ("die", ""),
    ],
)
def test_the_language_of_a_message(text: str, language: str) -> None:
    assert detected(text) == language


def test_languages_that_the_bot_does_not_speak_are_english() -> None:
    assert [base(one) for one in ("de-AT", "fr", "en-GB", "")] == ["de", "en", "en", "en"]


@pytest.mark.parametrize(
    ("text", "order", "subscription"),
    [
        ("Where is my order?", True, False),
        ("where's my package #1001", True, False),
        ("My parcel hasn't arrived yet", True, False),
        ("I haven't received my order", True, False),
        ("Wo bleibt mein Paket?", True, False),
        ("wann kommt meine bestellung", True, False),
        ("Ist mein Abo noch aktiv?", False, True),
        ("What is the status of my subscription?", False, True),
        ("when does my plan renew", False, True),
        ("How do I track my order?", False, False),
        ("How can I cancel my subscription?", False, False),
        ("Wie kann ich meine Bestellung verfolgen?", False, False),
        ("Do you ship to Norway?", False, False),
        ("What is the order of the planets?", False, False),
    ],
)
def test_lookups_are_told_from_questions_about_them(text: str, order: bool, subscription: bool) -> None:
    assert (wishes.wants_order(text), wishes.wants_subscription(text)) == (order, subscription)


def test_patterns_take_no_long_time_over_hostile_texts() -> None:
    import time

    began = time.perf_counter()
    for piece in ("a", "i am ", "so so ", "my order ", "is is ", "hello ", "\u0000", "mit einem "):
        text = piece * 4_000
        wishes.wants_person(text), wishes.is_angry(text), wishes.wants_lookup(text), wishes.says("hours", text)
        for kind in wishes.wordings()[0].whole:
            wishes.is_whole(kind, text)
    assert time.perf_counter() - began < 5
