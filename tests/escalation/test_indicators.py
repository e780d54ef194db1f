"""Indicators: which wordings are found, which are not, and that every rule is registered and editable."""

from __future__ import annotations

from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from hypothesis import given
from hypothesis import strategies as st

from apps.escalation import phrases
from apps.escalation.models import Indicator, Phrase, Report
from apps.escalation.phrases import delivered, load, pattern, score
from apps.escalation.signs import Finding, indicators

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def _phrases(db: None) -> None:
    load(delivered())


def judged(text: str, *said: tuple[str, float]) -> float:
    return score(text, tuple((phrase, weight, "Because") for phrase, weight in said)).score


def found(slug: str, text: str) -> list[Finding]:
    one = indicators[slug]
    report = Report(pk=1, source="chat_message:9", subject="conversation:3", text=text, at=NOON)
    return list(one.find(now=NOON, settings=one.settings(), report=report))


@pytest.mark.parametrize(
    ("phrase", "text", "holds"),
    [
        ("data breach", "There was a DATA   breach, I hear", True),
        ("data breach", "Data. Breach of contract.", False),
        ("hack*", "My account got hacked", True),
        ("hack*", "A shack", False),
        ("someone * my account", "someone is using my account", True),
        ("someone * my account", "someone my account", True),
        ("someone * my account", "someone has been in and out of my account", False),
        ("someone * my account", "I asked someone. My account works", False),
        ("hack*", "Nobody has hacked us", False),
        ("hack*", "I was not hacked", False),
        ("hack*", "I was not hacked, but my brother says he was hacked", True),
        ("did not authorize", "I did not authorize this", True),
        ("someone else's order", "I see someone else’s order", True),
        ("c++", "we use c++", False),
    ],
)
def test_a_phrase_is_found_in_order_within_a_sentence_unless_denied(phrase: str, text: str, holds: bool) -> None:
    assert (judged(text, (phrase, 1.0)) > 0) is holds


def test_a_phrase_counts_once_and_doubts_are_taken_away() -> None:
    assert judged("hacked, hacked and hacked", ("hack*", 2.5)) == 2.5
    assert judged("How do I know whether it was hacked?", ("hack*", 2.5), ("how do i", -1.0)) == 1.5


@pytest.mark.parametrize("phrase", ["", "  ", "*", "* data", "data *"])
def test_a_phrase_begins_and_ends_with_a_word(phrase: str) -> None:
    with pytest.raises(ValueError, match="begins and ends"):
        pattern(phrase)
    with pytest.raises(ValidationError, match="begins and ends"):
        Phrase(text=phrase).clean()
    assert judged("my data was hacked", (phrase, 5.0), ("hack*", 1.0)) == 1.0


@given(st.text(max_size=400))
def test_any_text_can_be_judged(text: str) -> None:
    rows = tuple((row["text"], row["weight"], row["reason"]) for row in delivered())
    assert score(text, rows).score == score(text.upper().lower(), rows).score or text != text.upper().lower()


def test_a_very_long_text_is_judged_in_its_first_part() -> None:
    assert judged("x " * phrases.LONGEST + "hacked", ("hack*", 1.0)) == 0


def test_every_delivered_phrase_is_valid_and_stands_once() -> None:
    rows = delivered()
    assert len({(row["indicator"], row["text"]) for row in rows}) == len(rows) > 150
    for row in rows:
        Phrase(**row).clean_fields()
        pattern(row["text"])


@pytest.mark.parametrize(
    ("slug", "text"),
    [
        ("data", "I logged in and see another customer's invoices with their addresses"),
        ("security", "Someone has got into my account and there are unauthorized charges"),
        ("compliance", "Under GDPR you must tell me what you store; I will write to the ombudsman"),
        ("severe_impact", "You emptied my account, I cannot pay my rent"),
        ("reputation", "If this is not solved I am going to the press and will sue"),
    ],
)
@pytest.mark.usefixtures("_phrases")
def test_each_wording_is_found_with_its_reasons(slug: str, text: str) -> None:
    (finding,) = found(slug, text)
    assert finding.subject == "conversation:3"
    assert finding.score >= 2
    assert finding.level in {2, 3, 4}
    assert finding.reasons
    assert finding.evidence["source"] == "chat_message:9"


@pytest.mark.parametrize(
    "text", ["Where is my order?", "How do I change my delivery address?", "Can I pay with PayPal?", "", "👍"]
)
@pytest.mark.parametrize("slug", ["data", "security", "compliance", "severe_impact", "reputation"])
@pytest.mark.usefixtures("_phrases")
def test_harmless_messages_propose_nothing(slug: str, text: str) -> None:
    assert found(slug, text) == []


@pytest.mark.usefixtures("_phrases")
def test_an_edited_phrase_counts_from_the_next_message_on() -> None:
    assert not found("security", "The frobnicator is open")
    row = Phrase.objects.create(indicator=Indicator.SECURITY, text="frobnicator", weight=3, reason="Ours")
    assert found("security", "The frobnicator is open")
    row.active = False
    row.save()
    assert not found("security", "The frobnicator is open")


@pytest.mark.usefixtures("_phrases")
def test_loading_again_keeps_what_people_edited() -> None:
    Phrase.objects.filter(text="gdpr").update(weight=0.5, active=False)
    Phrase.objects.filter(text="ccpa").delete()
    out = StringIO()
    call_command("load_phrases", stdout=out)
    assert out.getvalue() == "1 phrases added.\n"
    assert Phrase.objects.get(text="gdpr").weight == 0.5


def test_all_indicators_of_the_protocol_are_rules_that_are_listed(db: None) -> None:
    out = StringIO()
    call_command("list_rules", stdout=out)
    for one in indicators:
        assert one.slug in Indicator.values
        assert one.description
        assert f"{one.title} (indicator)" in out.getvalue()
