"""System checks of our own."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.checks import CheckMessage, Error


def admin_actions_declare_permissions(app_configs: object, **_: Any) -> list[CheckMessage]:
    """Every admin action says which permission it needs; Django offers one that does not to view-only staff."""
    found: list[CheckMessage] = []
    for model_admin in admin.site._registry.values():
        for action, name, _description in model_admin._get_base_actions():  # type: ignore[attr-defined]  # private, but the only list before filtering
            if not getattr(action, "allowed_permissions", None):
                found.append(
                    Error(
                        f"The admin action {name!r} declares no permissions.",
                        hint="Write @admin.action(permissions=[...]).",
                        obj=type(model_admin),
                        id="core.E001",
                    )
                )
    return found
