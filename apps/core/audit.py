"""The audit trail of what people edit (django-auditlog), protected by database triggers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from auditlog.context import auditlog_value, set_extra_data
from auditlog.registry import auditlog
from django.db.models import Model

if TYPE_CHECKING:
    from apps.core.models import User


def hidden(value: object) -> str:
    """What stands in the trail for a secret: that it changed, never what it is."""
    return "***"


def audit(
    model: type[Model], *, mask: Iterable[str] = (), exclude: Iterable[str] = (), m2m: Iterable[str] = ()
) -> None:
    """Record every change of a model's rows that goes through ``save()`` or ``delete()``.

    ``QuerySet.update`` and ``bulk_create`` leave no trace, so audited rows are saved one by one.

    Args:
        model: the model.
        mask: fields whose values must not appear, such as secrets and encrypted fields.
        exclude: fields that the product changes by itself.
        m2m: many-to-many fields to record.
    """
    auditlog.register(
        model,
        mask_fields=list(mask),
        mask_callable="apps.core.audit.hidden",
        exclude_fields=list(exclude),
        m2m_fields=set(m2m),
    )


@contextmanager
def said_by(actor: User | str, reason: str = "", **facts: Any) -> Iterator[None]:
    """Write into the trail who changed what is saved inside, and why; also outside requests.

    Args:
        actor: a person, or the label of a job (see :func:`apps.core.decisions.system`).
        reason: kept with each entry.
        facts: further facts to keep with it, as JSON holds them.
    """
    outside = auditlog_value.get(None)
    person = None if isinstance(actor, str) else actor
    reason = reason.replace("\x00", "")  # the trail is JSON, and PostgreSQL has none with null bytes
    facts |= {"reason": reason} if reason else {}
    if isinstance(actor, str):
        facts["by"] = actor
    try:
        # What the request knows, such as its address, is kept; only the words about this change are added.
        with set_extra_data({**(outside or {}), "actor": person, "additional_data": facts or None}):
            yield
    finally:
        if outside is not None:  # django-auditlog forgets the request's own context when it ends an inner one
            auditlog_value.set(outside)


def audit_core() -> None:
    """Audit the core's own models."""
    from apps.core.models import ApiToken, NotificationSetting, Scope, User

    audit(User, mask=["password"], exclude=["last_login"], m2m=["groups", "user_permissions"])
    audit(Scope)
    audit(NotificationSetting)
    audit(ApiToken, mask=["digest", "token_key"], exclude=["last_used_at"])
