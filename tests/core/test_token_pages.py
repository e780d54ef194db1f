"""The page of the own API tokens."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from apps.core import tokens
from apps.core.models import ApiToken, Decision, User
from apps.core.roles import Role
from tests.core.factories import UserFactory, person

pytestmark = pytest.mark.django_db


def make(client: Client, name: str = "billing", days: object = 30) -> tuple[int, str]:
    answer = client.post(reverse("own_tokens"), {"name": name, "days": days})
    return answer.status_code, answer.content.decode()


def secret_in(page: str) -> str:
    found = re.search(r'value="(rd_[0-9a-f]+)"', page)
    return found[1] if found else ""


def opens(secret: str) -> int:
    return APIClient().get("/api/risk-score", headers={"Authorization": f"Bearer {secret}"}).status_code


@pytest.fixture
def ada() -> User:
    return UserFactory()


def test_a_token_is_shown_once_and_lets_its_program_in(client: Client, ada: User) -> None:
    client.force_login(ada)
    status, page = make(client)
    secret = secret_in(page)
    assert (status, opens(secret)) == (201, 200)
    again = client.get(reverse("own_tokens"))
    assert secret not in again.content.decode()
    assert ApiToken.objects.get().token_key in again.content.decode()
    assert "no-store" in again["Cache-Control"]
    entry = Decision.objects.get()
    assert (entry.action, entry.actor) == ("token_issued", ada)
    assert secret not in str(Decision.objects.values().get())


def test_it_is_revoked_by_its_person_and_that_is_logged(client: Client, ada: User) -> None:
    client.force_login(ada)
    secret = secret_in(make(client)[1])
    token = ApiToken.objects.get()
    address = reverse("own_token_revoke", args=[token.pk])
    assert client.get(address).status_code == 405
    assert client.post(address).status_code == 302
    assert opens(secret) == 401
    assert set(Decision.objects.values_list("action", flat=True)) == {"token_issued", "token_revoked"}
    assert client.post(address).status_code == 404


@pytest.mark.parametrize("role", [Role.RISK_MANAGER, Role.ADMINISTRATOR])
def test_others_neither_see_nor_revoke_it_here(client: Client, ada: User, role: Role) -> None:
    client.force_login(ada)
    secret = secret_in(make(client, name="of Ada alone")[1])
    client.force_login(person(role))
    shown = client.get(reverse("own_tokens")).content.decode()
    assert "of Ada alone" not in shown
    assert ("Everybody’s tokens" in shown) is (role == Role.ADMINISTRATOR)
    assert client.post(reverse("own_token_revoke", args=[ApiToken.objects.get().pk])).status_code == 404
    assert opens(secret) == 200


def test_strangers_and_forged_forms_make_nothing(client: Client, ada: User) -> None:
    assert make(client)[0] == 302
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(ada)
    assert make(strict)[0] == 403
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize(("name", "days"), [("", 30), ("x" * 101, 30), ("a", 0), ("a", 367), ("a", "x"), ("a", 10**30)])
def test_wishes_that_are_refused(client: Client, ada: User, name: str, days: object) -> None:
    client.force_login(ada)
    status, page = make(client, name, days)
    assert status == 400
    assert "No token was made" in page
    assert not ApiToken.objects.exists()


def test_a_page_that_is_sent_again_makes_no_second_token(client: Client, ada: User) -> None:
    client.force_login(ada)
    first, second = make(client), make(client)
    assert (first[0], second[0]) == (201, 400)
    assert "a token of this name already" in second[1]
    assert ApiToken.objects.count() == 1


def test_there_is_an_end_to_them(client: Client, ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MOST_TOKENS", 1)
    client.force_login(ada)
    assert [make(client, name)[0] for name in ("a", "b")] == [201, 409]
