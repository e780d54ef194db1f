"""Named queries over risk flags."""

from __future__ import annotations

from typing import Self

from django.db import models

from apps.core.models import User
from apps.core.scope import in_scope


class RiskFlagQuerySet(models.QuerySet["RiskFlag"]):  # type: ignore[name-defined]  # forward reference, no cycle
    def visible_to(self, user: User) -> Self:
        """Flags that a person may see: of their scopes, and those that belong to no scope."""
        return in_scope(self, user)

    def open(self) -> Self:
        return self.filter(status="open")
