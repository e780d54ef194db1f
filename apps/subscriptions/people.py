"""Who is told about an organisation's subscriptions, besides their owners."""

from __future__ import annotations

from apps.core.models import Scope, User
from apps.core.roles import Role, people_with
from apps.core.scope import may_work_in


def keepers(scope: Scope | None) -> list[User]:
    """Active operators and administrators who see the organisation's rows."""
    return [person for person in people_with(Role.OPERATOR, Role.ADMINISTRATOR) if may_work_in(person, scope)]
