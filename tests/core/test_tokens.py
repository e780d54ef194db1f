"""API tokens: made by a person, shown once, ended by time or revoked."""

from __future__ import annotations

from base64 import b64encode
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from apps.core import tokens
from apps.core.models import ApiToken, Decision, StoredAnswer, User
from apps.core.roles import Role
from apps.core.tasks import clear_sessions
from tests.core.factories import PASSWORD, ScopeFactory, UserFactory, person

pytestmark = pytest.mark.django_db


def basic(user: User, password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user.username}:{password}".encode()).decode()}


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def make(user: User, **body: Any) -> Any:
    return APIClient().post("/api/tokens", {"name": "billing"} | body, format="json", headers=basic(user))


def opens(secret: str) -> int:
    return APIClient().get("/api/risk-score", headers=bearer(secret)).status_code


def test_a_person_makes_a_token_and_it_opens_the_api() -> None:
    user = UserFactory()
    answer = make(user, days=30)
    assert (answer.status_code, answer["Cache-Control"]) == (201, "no-store")
    data = answer.json()["data"]
    assert opens(data["token"]) == 200
    token = ApiToken.objects.get()
    assert (token.user, token.name, round((token.expiry - token.created) / timedelta(days=1))) == (user, "billing", 30)
    assert token.last_used_at is not None
    assert [entry.action for entry in Decision.objects.all()] == ["token_issued"]


def test_the_secret_is_shown_once_and_not_kept() -> None:
    user = UserFactory()
    secret = make(user).json()["data"]["token"]
    shown = APIClient().get("/api/tokens", headers=bearer(secret))
    assert shown.json()["total"] == 1
    assert secret not in shown.content.decode()
    assert secret not in str(ApiToken.objects.values().get())
    assert secret not in str(Decision.objects.values().get())


def test_by_session_too() -> None:
    user = UserFactory()
    api = APIClient()
    api.force_login(user)
    assert api.post("/api/tokens", {"name": "desk"}, format="json").status_code == 201
    strict = APIClient(enforce_csrf_checks=True)
    strict.force_login(user)
    assert strict.post("/api/tokens", {"name": "forged"}, format="json").status_code == 403


def test_a_token_makes_no_tokens() -> None:
    secret = make(UserFactory()).json()["data"]["token"]
    answer = APIClient().post("/api/tokens", {"name": "more"}, format="json", headers=bearer(secret))
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "sign_in_required")


def test_it_carries_the_persons_own_rights() -> None:
    secret = make(person(Role.AUDITOR)).json()["data"]["token"]
    assert APIClient().post("/api/risk-score/recalculate", headers=bearer(secret)).status_code == 403
    secret = make(person(Role.ADMINISTRATOR)).json()["data"]["token"]
    assert APIClient().post("/api/risk-score/recalculate", headers=bearer(secret)).status_code == 202


def test_a_role_that_changes_counts_at_the_next_request() -> None:
    user = person(Role.AUDITOR)
    secret = make(user).json()["data"]["token"]

    def recalculates() -> int:
        return APIClient().post("/api/risk-score/recalculate", headers=bearer(secret)).status_code

    assert recalculates() == 403
    user.groups.add(person(Role.ADMINISTRATOR).groups.get())
    assert recalculates() == 202
    user.groups.clear()
    assert recalculates() == 403
    user.user_permissions.add(Permission.objects.get(codename="add_recalculationrun"))
    assert recalculates() == 202
    user.user_permissions.clear()
    User.objects.filter(pk=user.pk).update(is_superuser=True)
    assert recalculates() == 202


def test_token_person_and_permissions_take_one_query(django_assert_num_queries: Any) -> None:
    user = person(Role.OPERATOR, ScopeFactory())
    own = Permission.objects.get(codename="view_recalculationrun", content_type__app_label="subscriptions")
    user.user_permissions.add(own)
    token, secret = tokens.issue(user=user, name="t", days=1, now=timezone.now())
    opens(secret)  # its use is noted once an hour
    with django_assert_num_queries(1):
        found, used = tokens.TokenAuthentication().authenticate_credentials(secret.encode())
        assert found.get_all_permissions() > {"subscriptions.view_recalculationrun"}
    assert found.get_all_permissions() == User.objects.get(pk=user.pk).get_all_permissions()
    token.refresh_from_db()
    names = [field.name for field in ApiToken._meta.concrete_fields]
    assert [getattr(used, name) for name in names] == [getattr(token, name) for name in names]


def test_it_ends_by_itself() -> None:
    secret = make(UserFactory(), days=1).json()["data"]["token"]
    with time_machine.travel(timezone.now() + timedelta(days=1, seconds=1)):
        assert opens(secret) == 401
        assert tokens.forget_expired(now=timezone.now()) == 1


def test_it_ends_when_revoked_and_with_its_person() -> None:
    user = UserFactory()
    data = make(user).json()["data"]
    assert APIClient().delete(f"/api/tokens/{data['id']}", headers=bearer(data["token"])).status_code == 204
    assert opens(data["token"]) == 401
    secret = make(user).json()["data"]["token"]
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert opens(secret) == 401


def test_nobody_revokes_or_sees_the_tokens_of_others() -> None:
    data = make(UserFactory()).json()["data"]
    other = APIClient()
    other.force_login(person(Role.RISK_MANAGER))
    assert other.delete(f"/api/tokens/{data['id']}").status_code == 404
    assert other.get("/api/tokens").json() == {"success": True, "data": [], "total": 0}
    assert opens(data["token"]) == 200


@pytest.mark.parametrize("secret", ["", "x", "rd_" + "0" * 64, "a b", "\xff\xfe", "rd_" + "z" * 5_000])
def test_what_is_no_token(secret: str) -> None:
    answer = APIClient().get("/api/risk-score", headers=bearer(secret))
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(
    "body", [{"name": ""}, {"name": "x" * 101}, {"days": 0}, {"days": 367}, {"days": True}, {"days": "9"}, {"owner": 1}]
)
def test_wishes_that_are_refused(body: dict[str, Any]) -> None:
    answer = make(UserFactory(), **body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid")
    assert not ApiToken.objects.exists()


def test_there_is_an_end_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MOST_TOKENS", 2)
    user = UserFactory()
    found = [make(user) for _ in range(3)]
    assert [answer.status_code for answer in found] == [201, 201, 409]
    assert found[-1].json()["error"]["code"] == "too_many_tokens"


def test_guessing_passwords_is_limited_like_at_the_login(settings: Any) -> None:
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"login_account": "3/minute"}
    user = UserFactory()
    tries = [APIClient().post("/api/tokens", {"name": "x"}, headers=basic(user, "wrong")) for _ in range(4)]
    assert [answer.status_code for answer in tries] == [401, 401, 401, 429]
    assert int(tries[-1]["Retry-After"]) >= 1
    assert make(user).status_code == 429


def test_names_with_null_bytes() -> None:
    header = {"Authorization": "Basic " + b64encode(b"a\0b:c").decode()}
    assert APIClient().get("/api/tokens", headers=header).status_code == 401


def test_administrators_revoke_on_the_desk(client: Client) -> None:
    secret = make(UserFactory()).json()["data"]["token"]
    token = ApiToken.objects.get()
    address = reverse("admin:core_apitoken_delete", args=[token.pk])
    client.force_login(person(Role.AUDITOR))
    assert client.post(address, {"post": "yes"}).status_code == 403
    assert opens(secret) == 200
    client.force_login(person(Role.ADMINISTRATOR))
    page = client.get(reverse("admin:core_apitoken_changelist"))
    assert token.token_key in page.content.decode()
    assert client.post(address, {"post": "yes"}).status_code == 302
    assert opens(secret) == 401
    assert Decision.objects.filter(action="token_revoked").exists()


def test_the_daily_task_forgets_what_has_ended() -> None:
    user, now = UserFactory(), timezone.now()
    make(user, days=1)
    StoredAnswer.objects.create(user=user, key="k", fingerprint="f", created_at=now)
    with time_machine.travel(now + timedelta(days=8)):
        clear_sessions()
    assert not ApiToken.objects.exists()
    assert not StoredAnswer.objects.exists()
