"""The audit trail of what people edit (django-auditlog), protected by database triggers."""

from __future__ import annotations

from collections.abc import Iterable

from auditlog.registry import auditlog
from django.db.models import Model


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


def audit_core() -> None:
    """Audit the core's own models."""
    from apps.core.models import ApiToken, NotificationSetting, Scope, User

    audit(User, mask=["password"], exclude=["last_login"], m2m=["groups", "user_permissions"])
    audit(Scope)
    audit(NotificationSetting)
    audit(ApiToken, mask=["digest", "token_key"], exclude=["last_used_at"])
