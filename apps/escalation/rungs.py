"""Who is told on which rung, and the telling.

The rungs are the protocol's. A step begins on its owner's rung; when nobody acknowledges, the next one up is told, and after
the last it begins again with the owner. A rung on which nobody works in the flag's scope is stepped over, not waited for;
if there is nobody on any, the administrators are told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from apps.core.models import Scope, User
from apps.core.notifications import notify
from apps.core.roles import Role, people_with
from apps.core.scope import people_in
from apps.escalation.ladder import STAGES
from apps.escalation.levels import Protocol
from apps.escalation.models import FlagEvent, RiskFlag

KIND = "risk_flag"


@dataclass(frozen=True, slots=True)
class Audience:
    """The people of a rung.

    Attributes:
        roles: whose turn it is.
        people: who is told.
        empty: roles of lower rungs that nobody holds in the scope, and which were stepped over.
    """

    roles: tuple[Role, ...]
    people: tuple[User, ...]
    empty: tuple[Role, ...] = ()

    def joined_by(self, person: User) -> Audience:
        """The same with one more person, who is told first."""
        people = tuple({each.pk: each for each in (person, *self.people)}.values())
        return Audience(self.roles, people, self.empty)

    def data(self) -> dict[str, Any]:
        """As it stands in an event."""
        told = {"roles": [role.value for role in self.roles], "people": [person.pk for person in self.people]}
        return told | ({"nobody_is": [role.value for role in self.empty]} if self.empty else {})

    def words(self) -> str:
        """``Told Team Lead: 2 people.``"""
        count = f"{len(self.people)} {'person' if len(self.people) == 1 else 'people'}"
        nobody = f" Nobody is {', '.join(self.empty)} there." if self.empty else ""
        return f"Told {', '.join(self.roles)}: {count}.{nobody}"


@dataclass
class Staff:
    """Who holds a role and works in a scope; each is asked once, so one is made for each sweep."""

    _holders: dict[Role, tuple[User, ...]] = field(default_factory=dict)
    _there: dict[int, frozenset[int]] = field(default_factory=dict)

    def of(self, roles: Iterable[Role], scope: Scope | None) -> tuple[User, ...]:
        """Active people of these roles, each once."""
        found = {person.pk: person for role in roles for person in self._of(role)}
        if scope is None:
            return tuple(found.values())
        if scope.pk not in self._there:
            self._there[scope.pk] = frozenset(people_in(scope).values_list("pk", flat=True))
        return tuple(person for pk, person in found.items() if pk in self._there[scope.pk])

    def _of(self, role: Role) -> tuple[User, ...]:
        if role not in self._holders:
            self._holders[role] = tuple(people_with(role).order_by("pk"))
        return self._holders[role]


def circle(protocol: Protocol, step: str) -> tuple[tuple[Role, ...], ...]:
    """The rungs of a step, its owner's first and then upward."""
    owner = STAGES[step].owner
    first = next((place for place, roles in enumerate(protocol.rungs) if owner in roles), 0)
    return protocol.rungs[first:]


def audience(rungs: Sequence[tuple[Role, ...]], number: int, scope: Scope | None, staff: Staff) -> Audience:
    """The people of a rung, counted round and round.

    Args:
        rungs: as :func:`circle` gives them.
        number: 0 is the first rung; after the last the first follows.
    """
    empty: list[Role] = []
    for place in range(len(rungs)):
        roles = rungs[(number + place) % len(rungs)]
        people = staff.of(roles, scope)
        if people:
            return Audience(roles, people, tuple(empty))
        empty += roles
    administrators = (Role.ADMINISTRATOR,)
    return Audience(administrators, staff.of(administrators, scope), tuple(empty))


def flag_url(flag_id: int) -> str:
    """The page of a flag."""
    return f"/admin/escalation/riskflag/{flag_id}/change/"


def tell_of_step(flag: RiskFlag, protocol: Protocol, now: datetime, *, dedupe_key: str, news: str) -> Audience:
    """Tell the owner of a flag's step, and at levels 4 and 5 those who hear of it at once; in the caller's transaction.

    Args:
        dedupe_key: nobody is told the same twice.
        news: first words of the title.
    """
    stage, staff = STAGES[flag.step], Staff()
    found = audience(circle(protocol, flag.step), 0, flag.scope, staff)
    roles, people = found.roles, found.people
    if flag.level >= RiskFlag.Level.HIGH:
        roles = tuple(dict.fromkeys((*roles, *stage.told)))
        people = tuple({each.pk: each for each in (*people, *staff.of(stage.told, flag.scope))}.values())
    told = Audience(roles, people, found.empty)
    notify(
        kind=KIND,
        recipients=told.people,
        title=f"{news}, {flag.get_level_display()}: {flag.title}",
        body=flag.description,
        url=flag_url(flag.pk),
        dedupe_key=dedupe_key,
        urgent=flag.level >= RiskFlag.Level.HIGH,
        insist=flag.level == RiskFlag.Level.CRITICAL,
    )
    FlagEvent.objects.create(flag=flag, kind=FlagEvent.Kind.TOLD, at=now, text=told.words(), data=told.data())
    return told
