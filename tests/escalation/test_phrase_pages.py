"""Phrases are changed through their service: with a reason, bound to what was seen, and on record."""

from __future__ import annotations

from typing import Any

import pytest
from auditlog.models import LogEntry
from django.test import Client

from apps.core.models import Decision, User
from apps.core.roles import Role
from apps.escalation import phrases
from apps.escalation.binding import MissingInformation, NotAllowed
from apps.escalation.models import Phrase
from apps.escalation.phrases import InvalidPhrase, PhraseChanged, PhraseNotFound
from tests.core.factories import person

pytestmark = pytest.mark.django_db
LIST = "/admin/escalation/phrase/"
MAY = (Role.RISK_MANAGER, Role.ADMINISTRATOR)
FIELDS = {
    "indicator": "security",
    "language": "en",
    "text": "the  frobnicator",
    "weight": 3.0,
    "reason": "Ours",
    "active": True,
}


@pytest.fixture
def manager() -> User:
    return person(Role.RISK_MANAGER)


@pytest.fixture
def phrase(db: None) -> Phrase:
    return Phrase.objects.create(indicator="security", text="frobnicator", weight=3, reason="Ours")


def test_adding_is_on_record(manager: User) -> None:
    made = phrases.add(fields=FIELDS, why=" Seen twice. ", actor=manager)
    assert (made.text, made.version) == ("the frobnicator", 1)
    entry = Decision.objects.get(action="phrase_added")
    assert (entry.actor, entry.subject, entry.rationale) == (manager, f"phrase:{made.pk}", "Seen twice.")
    assert entry.payload["after"]["weight"] == 3.0


def test_a_change_raises_the_version_and_says_what_was_before(manager: User, phrase: Phrase) -> None:
    done = phrases.change(phrase_id=phrase.pk, seen_version=1, fields={"weight": 1.5}, why="Too strong.", actor=manager)
    assert (done.version, done.weight) == (2, 1.5)
    entry = Decision.objects.get(action="phrase_changed")
    assert (entry.payload["before"]["weight"], entry.payload["after"]["weight"]) == (3.0, 1.5)
    trail = LogEntry.objects.get_for_object(phrase).filter(action=LogEntry.Action.UPDATE).get()
    assert set(trail.changes_dict) == {"weight", "version"}


def test_nothing_changed_is_no_version(manager: User, phrase: Phrase) -> None:
    phrases.change(phrase_id=phrase.pk, seen_version=1, fields={"weight": 3.0}, why="Nothing.", actor=manager)
    phrase.refresh_from_db()
    assert phrase.version == 1
    assert not Decision.objects.exists()


def test_what_was_not_seen_is_not_changed(manager: User, phrase: Phrase) -> None:
    facts: dict[str, Any] = {"phrase_id": phrase.pk, "seen_version": 1, "actor": manager}
    phrases.change(fields={"active": False}, why="Off.", **facts)
    with pytest.raises(PhraseChanged) as changed:
        phrases.change(fields={"active": True}, why="On.", **facts)
    assert changed.value.version == 2
    with pytest.raises(PhraseNotFound):
        phrases.change(**facts | {"phrase_id": 0}, fields={}, why="x")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"text": "* gap"}, "text"),
        ({"text": " "}, "text"),
        ({"weight": 11}, "weight"),
        ({"indicator": "weather"}, "indicator"),
        ({"version": 9}, "version"),
        ({"pk": 9}, "pk"),
    ],
)
def test_what_cannot_be_sought_is_refused_by_name(
    manager: User, phrase: Phrase, fields: dict[str, Any], named: str
) -> None:
    with pytest.raises(InvalidPhrase) as refused:
        phrases.change(phrase_id=phrase.pk, seen_version=1, fields=fields, why="x", actor=manager)
    assert named in refused.value.fields
    with pytest.raises(MissingInformation):
        phrases.change(phrase_id=phrase.pk, seen_version=1, fields={"weight": 1}, why=" ", actor=manager)
    phrase.refresh_from_db()
    assert (phrase.text, phrase.weight, phrase.version) == ("frobnicator", 3, 1)


def test_the_same_phrase_stands_once(manager: User, phrase: Phrase) -> None:
    with pytest.raises(InvalidPhrase):
        phrases.add(fields=FIELDS | {"text": " frobnicator "}, why="Again.", actor=manager)


@pytest.mark.parametrize("role", [role for role in Role if role not in MAY])
def test_others_change_none(phrase: Phrase, role: Role, client: Client) -> None:
    actor = person(role)
    with pytest.raises(NotAllowed):
        phrases.add(fields=FIELDS, why="x", actor=actor)
    with pytest.raises(NotAllowed):
        phrases.change(phrase_id=phrase.pk, seen_version=1, fields={"weight": 1}, why="x", actor=actor)
    client.force_login(actor)
    form = {**FIELDS, "seen": 1, "why": "x", "active": "on"}
    assert client.post(f"{LIST}add/", form).status_code == 403
    assert client.post(f"{LIST}{phrase.pk}/change/", form).status_code == 403
    phrase.refresh_from_db()
    assert (phrase.text, phrase.version) == ("frobnicator", 1)


@pytest.mark.parametrize("role", MAY)
def test_the_page_saves_through_the_service(client: Client, phrase: Phrase, role: Role) -> None:
    client.force_login(person(role))
    page = f"{LIST}{phrase.pk}/change/"
    assert client.get(page).status_code == 200
    form = {**FIELDS, "text": "frobnicator", "weight": "2", "seen": 1, "active": "on"}
    assert client.post(page, form).status_code == 400  # no reason
    assert client.post(page, {**form, "why": "Too strong"}).status_code == 302
    phrase.refresh_from_db()
    assert (phrase.weight, phrase.version) == (2, 2)
    stale = client.post(page, {**form, "weight": "9", "why": "Late"})
    assert stale.status_code == 409
    assert "changed since you looked" in stale.content.decode()
    assert 'name="seen" value="2"' in stale.content.decode()
    assert client.post(f"{LIST}add/", {**FIELDS, "seen": 0, "why": "New", "active": "on"}).status_code == 302
    assert set(Decision.objects.values_list("action", flat=True)) == {"phrase_changed", "phrase_added"}
    assert client.post(f"{LIST}{phrase.pk}/delete/", {"post": "yes"}).status_code == 403


def test_who_may_only_look_reads_the_phrase(client: Client, phrase: Phrase) -> None:
    client.force_login(person(Role.TEAM_LEAD))
    answer = client.get(f"{LIST}{phrase.pk}/change/")
    assert answer.status_code == 200
    assert b"frobnicator" in answer.content
    assert b'name="why"' not in answer.content


def test_a_phrase_is_shown_as_text(client: Client, manager: User) -> None:
    made = phrases.add(fields=FIELDS | {"reason": "<script>alert(1)</script>"}, why="<b>x</b>", actor=manager)
    client.force_login(manager)
    for address in (LIST, f"{LIST}{made.pk}/change/"):
        assert "<script>alert" not in client.get(address).content.decode()
