"""What the bot says: answers with their source, choices, that it is not sure, small talk, hours; and when a person has it."""

from __future__ import annotations

import pytest
from django.core.cache import cache

from apps.chat.bot import answering
from apps.chat.models import BotTurn, Conversation, Handoff
from apps.knowledge.models import AskedQuestion
from apps.knowledge.search import passages
from tests.chat.bot import NIGHT, Talk, shelf, staffed
from tests.chat.factories import NOON
from tests.knowledge.factories import ArticleFactory, VersionFactory, published

pytestmark = pytest.mark.django_db


@pytest.fixture
def talk() -> Talk:
    cache.clear()
    shelf()
    return Talk(staffed()[0])


def test_an_answer_comes_with_its_source_and_its_facts(talk: Talk) -> None:
    assert talk.ask("How can I return something I bought?").startswith("Print the label")
    data = talk.last.data
    assert data["articles"][0]["title"] == "How do I return something?"
    assert data["articles"][0]["url"].endswith("/")
    assert data["articles"][0]["updated"] == "2026-03-02"
    assert len(data["answer"]["article_version_ids"]) == 1
    assert data["answer"]["confidence"] > 0.5
    turn = BotTurn.objects.get()
    assert (turn.outcome, turn.action, turn.state) == ("answered", "", "done")
    assert turn.asked_id == AskedQuestion.objects.get().pk


def test_an_article_that_is_a_picture_alone_is_not_answered_by_silence(talk: Talk) -> None:
    title = "How do I read the size chart?"
    passages.index([published(VersionFactory.create(title=title, body="![](/help/pictures/chart.png)")).article_id])
    assert talk.ask(title) == title
    assert talk.last.data["articles"][0]["title"] == title


def test_not_sure_once_offers_a_person_and_twice_brings_one(talk: Talk) -> None:
    first = talk.ask("What is the capital of France?")
    assert "not sure" in first
    assert talk.last.data["choices"][-1]["send"] == "Talk to a person"
    assert (talk.outcome, talk.row.misses, talk.row.state) == ("not_sure", 1, "bot")
    second = talk.ask("Tell me the weather on the moon")
    assert "colleague" in second
    assert talk.row.state == Conversation.State.WAITING
    assert Handoff.objects.get().reason == "misses"
    assert AskedQuestion.objects.order_by("-id")[0].outcome == "escalated"


def test_an_answer_in_between_begins_the_count_again(talk: Talk) -> None:
    talk.ask("What is the capital of France?")
    talk.ask("How do I change my password?")
    assert talk.row.misses == 0
    assert "not sure" in talk.ask("What is the capital of Norway?")


@pytest.mark.parametrize(
    "text",
    [
        "I want to talk to a human", "agent please", "Can I speak to someone?", "let me talk to a real person",
        "Ich möchte mit einem Mitarbeiter sprechen", "Kann ich bitte mit einem Menschen reden?", "Talk to a person",
    ],
)  # fmt: skip
def test_whoever_wishes_for_a_person_gets_one_at_once(talk: Talk, text: str) -> None:
    talk.ask(text)
    assert (talk.row.state, Handoff.objects.get().reason) == ("waiting", "wish")
    assert (talk.outcome, talk.action) == ("handed_off", "handoff")


@pytest.mark.parametrize(
    "text",
    [
        "This is ridiculous, where is my stuff", "You are useless!!", "I'm so angry right now",
        "WHERE IS MY PARCEL THIS TAKES FOREVER ANSWER NOW", "Das ist eine Frechheit!", "Mir reicht's jetzt",
    ],
)  # fmt: skip
def test_whoever_is_angry_gets_a_person_at_once(talk: Talk, text: str) -> None:
    talk.ask(text)
    assert (talk.row.state, Handoff.objects.get().reason) == ("waiting", "anger")


@pytest.mark.parametrize(
    "text",
    [
        "How do I return something?", "Is a human error covered by the warranty?", "my parcel is late",
        "Do your agents get a discount code?",
        "Do I need to speak to a representative to change my password?",
        "please call me Tom",
        "Are you available in my country?",
        "My order did not get placed", "NASA AND ESA", "Can you ship to Norway please",
    ],
)  # fmt: skip
def test_ordinary_words_are_neither_wish_nor_anger(talk: Talk, text: str) -> None:
    talk.ask(text)
    assert not Handoff.objects.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hi", "Hello!"), ("Hello there!", "Hello!"), ("thanks a lot", "You are welcome"), ("bye", "good day"),
        ("are you a bot?", "I am a program"), ("what can you do?", "help pages"), ("how are you?", "I run well"),
    ],
)  # fmt: skip
def test_small_talk_is_answered_and_is_no_miss(talk: Talk, text: str, words: str) -> None:
    talk.ask("What is the capital of France?")
    assert words in talk.ask(text)
    assert (talk.outcome, talk.row.misses) == ("small_talk", 1)
    assert AskedQuestion.objects.count() == 1


def test_a_greeting_before_a_question_is_not_all_that_is_answered(talk: Talk) -> None:
    talk.write("Hello")
    assert talk.ask("How do I change my password?").startswith("Choose Account")


@pytest.mark.parametrize(
    ("text", "at", "words"),
    [
        ("What are your opening hours?", NOON, "Our team is there now. Hours (Europe/Berlin): Monday–Friday 09:00–18:00."),
        ("Are you open right now?", NIGHT, "It is back on Tuesday, 3 March 2026, 09:00 (Europe/Berlin)."),
        ("Wann habt ihr geöffnet und wie sind eure Öffnungszeiten?", NOON, "Montag–Freitag 09:00–18:00"),
    ],
)  # fmt: skip
def test_questions_about_hours_are_answered_by_the_calendar(talk: Talk, text: str, at: object, words: str) -> None:
    talk.now = at  # type: ignore[assignment]
    assert words in talk.ask(text)


def test_a_choice_of_a_few_leads_to_the_chosen_article(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    from apps.knowledge import answers

    monkeypatch.setattr(answers, "_decide", _unsure(answers._decide))
    talk.ask("parcel return")
    offered = talk.last.data["choices"]
    assert talk.outcome == "choices"
    assert offered[-1]["send"] == "Talk to a person"
    title = offered[0]["send"]
    talk.ask(title)
    assert talk.outcome == "answered"
    assert talk.last.data["articles"][0]["title"] == title
    talk.ask("parcel return again")
    talk.ask("None of these")
    assert talk.outcome == "not_sure"


def _unsure(decide):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    def choose(found, settings):  # type: ignore[no-untyped-def]
        middle = (settings.choose_at + settings.answer_at) / 2
        return decide(replace(found, confidence=middle), settings)

    return choose


def test_a_yes_after_an_answer_resolves_it_as_confirmed(talk: Talk) -> None:
    talk.ask("How do I change my password?")
    assert "glad" in talk.ask("Yes, that helped")
    assert (talk.row.state, talk.row.resolution) == ("resolved", "confirmed")


def test_a_no_after_an_answer_is_a_miss_and_marks_the_question(talk: Talk) -> None:
    talk.ask("How do I change my password?")
    talk.ask("No")
    assert (talk.outcome, talk.row.misses) == ("not_sure", 1)
    assert AskedQuestion.objects.get().outcome == "unhelpful"


def test_a_resolved_conversation_goes_on_as_a_new_context(talk: Talk) -> None:
    talk.ask("What is the capital of France?")
    talk.ask("How do I change my password?")
    talk.ask("Yes, that helped")
    assert "not sure" in talk.ask("Tell me the weather on the moon")
    assert (talk.row.context, talk.row.state, talk.row.misses, talk.row.resolution) == (2, "bot", 1, "")
    assert BotTurn.objects.order_by("-id")[0].context == 2


def test_a_yes_in_a_new_context_does_not_speak_of_the_old_one(talk: Talk) -> None:
    talk.ask("How do I change my password?")
    talk.ask("Yes, that helped")
    talk.ask("yes")
    assert talk.row.state == "bot"


def test_a_failing_search_brings_a_person_at_once(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("no index")

    monkeypatch.setattr(answering.answers, "answer", broken)
    words = talk.ask("How do I change my password?")
    assert "does not work on my side" in words
    handoff = Handoff.objects.get()
    assert handoff.reason == "failure"
    assert "search of articles failed" in handoff.summary


def test_german_words_get_german_answers_and_the_conversation_keeps_the_language(talk: Talk) -> None:
    assert "nicht sicher" in talk.ask("Was ist denn bitte die Hauptstadt von Frankreich und warum?")
    assert talk.row.language == "de"
    assert "Hallo" in talk.ask("hi")


def test_a_site_without_a_bot_hands_over_at_once() -> None:
    talk = Talk(staffed(has_bot=False)[0])
    talk.ask("How do I change my password?")
    assert (talk.row.state, Handoff.objects.get().reason) == ("waiting", "no_bot")


def test_articles_in_the_language_spoken_come_first(talk: Talk) -> None:
    german = ArticleFactory.create(language="de")
    words = "Drucken Sie das Etikett aus und bringen Sie das Paket zur Post."
    version = published(VersionFactory.create(article=german, title="Wie kann ich etwas zurückgeben?", body=words))
    passages.index([german.pk])
    assert talk.ask("Wie kann ich bitte etwas zurückgeben?") == words
    assert talk.last.data["articles"][0]["title"] == version.title
    assert talk.ask("How can I return something that I bought?").startswith("Print the label")
