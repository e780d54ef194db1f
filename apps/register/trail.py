"""The trail of one risk: who changed what about it, when, from what to what, and why.

It is read from what is kept anyway: the audit log of the risk, its mitigations and its acceptances, its scores, and the
decision log. Scores are told by their own rows, so the decision that records one is not told a second time. What one
action of a person changed is told together: see :func:`bundles`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from auditlog.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, Q

from apps.core.facts import label
from apps.core.models import Decision
from apps.core.names import called
from apps.register.differences import label as field_label
from apps.register.differences import shown
from apps.register.models import Acceptance, Mitigation, Rating, Risk, RiskLink

TOLD_ELSEWHERE = frozenset({"risk_scored"})
# The version and the severity follow from what is told. What becomes of a request to accept the risk is in the decision
# log, with who, when and why.
HIDDEN = frozenset(
    {"version", "severity", "seen", "digest", "state", "decided_at", "decided_by", "decision_reason", "ended_at"}
    | {"warned_at", "reminded_at"}
)
TOGETHER = timedelta(seconds=5)
"""What one person changes for one reason within this time was one action."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change.

    Attributes:
        who: a person's name, or a job of the system.
        name: of the field, or in words what was done.
        before: empty where something was added, and for decisions.
        why: the reason that was given; empty where none is asked for.
        thing: to what of the risk it was done, such as a mitigation; empty for the risk itself.
        done: whether ``name`` tells an action, such as a decision, and not a field.
    """

    at: datetime
    who: str
    name: str
    before: str = ""
    after: str = ""
    why: str = ""
    thing: str = ""
    done: bool = False

    @property
    def what(self) -> str:
        """What changed, with the thing that it belongs to."""
        return (f"{self.thing} {self.name}" if self.done else f"{self.thing}: {self.name}") if self.thing else self.name


@dataclass(frozen=True, slots=True)
class Bundle:
    """What one action changed.

    Attributes:
        title: the action, or what the changes have in common.
        parts: the changes, those of one thing together under its name; the name is empty where the title says it.
    """

    at: datetime
    who: str
    why: str
    title: str
    parts: tuple[tuple[str, tuple[Change, ...]], ...]


def trail(risk: Risk, most: int | None = None) -> list[Change]:
    """The changes of a risk, the newest first.

    Args:
        most: how many at most; all if None.
    """
    found = [*_scores(risk, most), *_fields(risk, most), *_decisions(risk, most)]
    found.sort(key=lambda change: change.at, reverse=True)
    return found if most is None else found[:most]


def trail_of(row: Model) -> list[Change]:
    """What the audit log has of one row, the newest first."""
    rows = LogEntry.objects.filter(_of(type(row), [row.pk])).select_related("actor", "content_type")
    return [change for entry in rows.order_by("-timestamp", "-pk") for change in _entry(entry, bare=True)]


def bundles(changes: Iterable[Change]) -> list[Bundle]:
    """Changes with those of one action together: of one person, within :data:`TOGETHER`, for reasons of which one holds
    the other.

    Args:
        changes: the newest first, as :func:`trail` tells them.
    """
    found: list[list[Change]] = []
    for change in changes:
        if found and _one_action(found[-1], change):
            found[-1].append(change)
        else:
            found.append([change])
    return [_bundle(group) for group in found]


def _one_action(group: list[Change], change: Change) -> bool:
    why = _reason(group)
    soon = group[0].at - change.at <= TOGETHER
    return soon and group[0].who == change.who and (change.why in why or why in change.why)


def _reason(group: list[Change]) -> str:
    return max((one.why for one in group), key=len)


def _bundle(group: list[Change]) -> Bundle:
    """One action: a decision about the risk is its title; without one, what alone was changed or done."""
    decision = next((one for one in group if one.done and not one.thing), None)
    rest = [one for one in group if one is not decision]
    only = rest[0] if len(rest) == 1 else None
    things = {one.thing for one in rest}
    said = ""
    if decision is not None:
        title = decision.what
    elif only is not None:
        title, said = only.what, only.thing
        rest = [only] if only.before or only.after else []
    else:
        said = next(iter(things)) if len(things) == 1 else ""
        title = said or "Changed"
    alone = decision is None and only is not None
    return Bundle(group[0].at, group[0].who, _reason(group), title, tuple(_parts(rest, said, alone)))


def _parts(changes: list[Change], said: str, alone: bool) -> Iterator[tuple[str, tuple[Change, ...]]]:
    """Changes by the thing that they belong to; what repeats is told once.

    Args:
        said: the thing that the title names.
        alone: whether the title names the field, too.
    """
    for thing, of_it in groupby(changes, key=lambda one: one.thing):
        kept = {(one.name, one.before, one.after): one for one in of_it}.values()
        yield "" if thing == said else thing, tuple(replace(one, name="") if alone else one for one in kept)


def _scores(risk: Risk, most: int | None) -> Iterator[Change]:
    """Each score, with the one that it followed."""
    before: dict[str, str] = {}
    found = []
    for rating in risk.ratings.select_related("rated_by", "matrix__matrix").order_by("pk"):
        who, name = called(rating.rated_by) or "Riskdesk", f"{rating.get_kind_display().partition(':')[0]} score"
        words = _score(rating, before.get(f"{rating.kind} by", ""))
        found.append(Change(rating.rated_at, who, name, before.get(rating.kind, ""), words, rating.reason))
        before[rating.kind] = _score(rating, str(rating.matrix))
        before[f"{rating.kind} by"] = str(rating.matrix)
    return iter(found[::-1][:most])


def _score(rating: Rating, matrix: str) -> str:
    """A score in words; its matrix is named where the score before was given by another one."""
    words = f"{rating.level}, severity {rating.severity}"
    if rating.probability is not None:
        by = "" if str(rating.matrix) == matrix else f"; {rating.matrix}"
        words += f" (probability {rating.probability}, impact {rating.impact}{by})"
    return words


def _fields(risk: Risk, most: int | None) -> Iterator[Change]:
    """What the audit log has of the risk and of what belongs to it."""
    rows = LogEntry.objects.filter(
        _of(Risk, [risk.pk])
        | _of(Mitigation, list(risk.mitigations.values_list("pk", flat=True)))
        | Q(_of(Acceptance, list(risk.acceptances.values_list("pk", flat=True))), action=LogEntry.Action.UPDATE)
        | _of(RiskLink, list(risk.links.values_list("pk", flat=True)))
    ).select_related("actor", "content_type")
    for entry in rows.order_by("-timestamp", "-pk")[:most]:
        yield from _entry(entry)


def _of(model: type[Model], keys: list[int]) -> Q:
    return Q(content_type=ContentType.objects.get_for_model(model), object_id__in=keys)


def _entry(entry: LogEntry, *, bare: bool = False) -> Iterator[Change]:
    told = entry.additional_data if isinstance(entry.additional_data, dict) else {}
    who, why = called(entry.actor) or str(told.get("by") or "Riskdesk"), str(told.get("reason", ""))
    thing = (
        ""
        if bare or entry.content_type.model == "risk"
        else f"{label(entry.content_type.name)} “{entry.object_repr[:80]}”"
    )
    if entry.action != LogEntry.Action.UPDATE:
        verb = "added" if entry.action == LogEntry.Action.CREATE else "removed"
        yield Change(entry.timestamp, who, verb, why=why, thing=thing or label(entry.content_type.name), done=True)
        return
    model = entry.content_type.model_class()
    bare_row = model() if model else None
    for name, values in (entry.changes or {}).items():
        if name in HIDDEN:
            continue
        words = field_label(bare_row, name) if bare_row else name
        before, after = _values(bare_row, name, values)
        yield Change(entry.timestamp, who, words, before, after, why, thing)


def _values(row: Model | None, name: str, values: Any) -> tuple[str, str]:
    """Both values of a field; of a relation to many rows, which were added or removed."""
    if isinstance(values, dict):
        objects = ", ".join(str(one) for one in values.get("objects", []))
        return ("", objects) if values.get("operation") == "add" else (objects, "")
    before, after = ((shown(row, name, one) if row else str(one)) for one in values[:2])
    return before, after


def _decisions(risk: Risk, most: int | None) -> Iterator[Change]:
    rows = Decision.objects.filter(subject=f"risk:{risk.pk}").exclude(action__in=TOLD_ELSEWHERE)
    for decision in rows.select_related("actor", "text").order_by("-seq")[:most]:
        who = called(decision.actor) or decision.actor_label
        yield Change(decision.at, who, label(decision.action), why=decision.rationale, done=True)
