"""Named queries over the risk register."""

from __future__ import annotations

from typing import Any, Self

from django.db import models

from apps.core.models import User
from apps.core.scope import in_scope


class RiskQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: User) -> Self:
        """Risks that a person may see: of their scopes, and those of the whole company."""
        return in_scope(self, user)

    def open(self) -> Self:
        return self.filter(status="open")
