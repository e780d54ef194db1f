"""Tokens by which programs act as a person: made by the person, shown once, kept as a digest, ended by time or revoked.

A token carries the person's own rights, so that it never does more than the person may. It cannot make further tokens:
who finds one cannot outlive its revocation.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import Model
from django.utils import timezone
from knox.auth import TokenAuthentication as KnoxAuthentication
from knox.crypto import hash_token
from rest_framework.authentication import BasicAuthentication
from rest_framework.exceptions import AuthenticationFailed

from apps.core.decisions import Entry, record
from apps.core.errors import DomainError
from apps.core.models import ApiToken, User
from apps.core.prepared import prepared
from apps.core.ratelimit import by_address, forget, spend

MOST_TOKENS = 20
LONGEST_DAYS = 366
_USE_NOTED_EVERY = timedelta(hours=1)


class TooManyTokens(DomainError):
    """One person has as many tokens as anybody may have."""

    code = "too_many_tokens"
    message = f"You have {MOST_TOKENS} tokens. Revoke one that is not used any more."
    status = 409


# What a request by token needs to know of its person, for each asks it again: a role that was changed counts at once.
_FIND = """
    SELECT {columns},
        ARRAY(
            SELECT t.app_label || '.' || p.codename FROM auth_permission p JOIN django_content_type t ON t.id = p.content_type_id
            WHERE p.id IN (
                SELECT permission_id FROM core_user_user_permissions WHERE user_id = u.id
                UNION ALL
                SELECT g.permission_id FROM auth_group_permissions g JOIN core_user_groups m ON m.group_id = g.group_id
                WHERE m.user_id = u.id
            )
        ) AS permissions
    FROM core_apitoken k JOIN core_user u ON u.id = k.user_id
    WHERE k.digest = %s AND k.expiry > %s
"""


class TokenAuthentication(KnoxAuthentication):
    """``Authorization: Bearer TOKEN``: token, person and permissions by one query.

    Expired tokens are left to the daily clean-up.
    """

    def authenticate_credentials(self, token: bytes) -> tuple[User, ApiToken]:
        now = timezone.now()
        try:
            digest = hash_token(token.decode("ascii"))
        except UnicodeDecodeError:
            raise AuthenticationFailed("Invalid token.") from None
        found = _find(digest, now)
        if found is None or not found.user.is_active:
            raise AuthenticationFailed("Invalid token.")
        if found.last_used_at is None or found.last_used_at < now - _USE_NOTED_EVERY:
            ApiToken.objects.filter(pk=found.pk).update(last_used_at=now)
        return found.user, found


def _find(digest: str, now: datetime) -> ApiToken | None:
    """A token that lets somebody in, with the person; the permissions are with the person for the rest of the request."""
    rows = prepared(_statement(), [digest, now])
    if not rows:
        return None
    ((*values, permissions),) = rows
    names = _columns(ApiToken)
    token = ApiToken.from_db(DEFAULT_DB_ALIAS, names, values[: len(names)])
    user = User.from_db(DEFAULT_DB_ALIAS, _columns(User), values[len(names) :])
    if not user.is_superuser:  # who may do everything has no list of it
        user._perm_cache = set(permissions)  # type: ignore[attr-defined]  # where ModelBackend keeps what it loaded
    token.user = user
    return token


@cache
def _statement() -> str:
    columns = [*(f"k.{name}" for name in _columns(ApiToken)), *(f"u.{name}" for name in _columns(User))]
    return _FIND.format(columns=", ".join(columns))


@cache
def _columns(model: type[Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


class PasswordAuthentication(BasicAuthentication):
    """Name and password, for making tokens only; limited like the login page."""

    def authenticate_credentials(self, userid: str, password: str, request: Any = None) -> Any:
        account = userid.strip().casefold()[:255]
        spend("login_address", by_address(request._request))
        spend("login_account", account)
        if "\0" in userid:
            raise AuthenticationFailed("Invalid username/password.")
        found = super().authenticate_credentials(userid, password, request)
        forget("login_account", account)
        return found


@transaction.atomic
def issue(*, user: User, name: str, days: int, now: datetime) -> tuple[ApiToken, str]:
    """Make a token for a person.

    Args:
        user: whose rights it carries.
        name: what it is for.
        days: for how long it is valid.
        now: the moment.

    Returns:
        The row, and the token itself, which is never to be had again.

    Raises:
        TooManyTokens: there are enough already.
    """
    User.objects.select_for_update().get(pk=user.pk)  # two requests at once must not both find room
    if ApiToken.objects.alive(now).filter(user=user).count() >= MOST_TOKENS:
        raise TooManyTokens
    token, secret = ApiToken.objects.create(user=user, name=name, expiry=timedelta(days=days))
    record(_entry("token_issued", token, actor=user, days=days))
    return token, secret


@transaction.atomic
def revoke(token: ApiToken, *, actor: User) -> None:
    """End a token now."""
    record(_entry("token_revoked", token, actor=actor))
    token.delete()


def _entry(action: str, token: ApiToken, *, actor: User, **payload: Any) -> Entry:
    payload |= {"token_key": token.token_key, "holder": f"user:{token.user_id}"}
    return Entry(scope="access", actor=actor, action=action, subject=f"api_token:{token.pk}", payload=payload)


def forget_expired(*, now: datetime) -> int:
    """Delete tokens that let nobody in any more; returns how many."""
    return ApiToken.objects.filter(expiry__lte=now).delete()[0]
