"""The trail of one risk: who changed what about it, when, from what to what, and why.

It is read from what is kept anyway: the audit log of the risk, its mitigations and its acceptances, its scores, and the
decision log. Scores are told by their own rows, so the decision that records one is not told a second time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from auditlog.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, Q

from apps.core.facts import label
from apps.core.models import Decision
from apps.register.differences import label as field_label
from apps.register.differences import shown
from apps.register.models import Acceptance, Mitigation, Risk, RiskLink

TOLD_ELSEWHERE = frozenset({"risk_scored"})
HIDDEN = frozenset({"version", "severity"})


@dataclass(frozen=True, slots=True)
class Change:
    """One change.

    Attributes:
        who: a person's name, or a job of the system.
        before: empty where something was added, and for decisions.
        why: the reason that was given; empty where none is asked for.
    """

    at: datetime
    who: str
    what: str
    before: str = ""
    after: str = ""
    why: str = ""


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


def _scores(risk: Risk, most: int | None) -> Iterator[Change]:
    """Each score, with the one that it followed."""
    before: dict[str, str] = {}
    found = []
    for rating in risk.ratings.select_related("rated_by", "matrix__matrix").order_by("pk"):
        words = f"{rating.level}, severity {rating.severity}"
        if rating.probability is not None:
            words += f" (probability {rating.probability}, impact {rating.impact}; {rating.matrix})"
        found.append(
            Change(
                rating.rated_at, str(rating.rated_by or "Riskdesk"), f"{rating.get_kind_display().partition(':')[0]} score",
                before.get(rating.kind, ""), words, rating.reason,
            )
        )  # fmt: skip
        before[rating.kind] = words
    return iter(found[::-1][:most])


def _fields(risk: Risk, most: int | None) -> Iterator[Change]:
    """What the audit log has of the risk and of what belongs to it."""
    rows = LogEntry.objects.filter(
        _of(Risk, [risk.pk])
        | _of(Mitigation, list(risk.mitigations.values_list("pk", flat=True)))
        | _of(Acceptance, list(risk.acceptances.values_list("pk", flat=True)))
        | _of(RiskLink, list(risk.links.values_list("pk", flat=True)))
    ).select_related("actor", "content_type")
    for entry in rows.order_by("-timestamp", "-pk")[:most]:
        yield from _entry(entry)


def _of(model: type[Model], keys: list[int]) -> Q:
    return Q(content_type=ContentType.objects.get_for_model(model), object_id__in=keys)


def _entry(entry: LogEntry, *, bare: bool = False) -> Iterator[Change]:
    told = entry.additional_data if isinstance(entry.additional_data, dict) else {}
    who, why = str(entry.actor or told.get("by") or "Riskdesk"), str(told.get("reason", ""))
    thing = (
        ""
        if bare or entry.content_type.model == "risk"
        else f"{label(entry.content_type.name)} “{entry.object_repr[:80]}”"
    )
    if entry.action != LogEntry.Action.UPDATE:
        verb = "added" if entry.action == LogEntry.Action.CREATE else "removed"
        yield Change(entry.timestamp, who, f"{thing or label(entry.content_type.name)} {verb}", why=why)
        return
    model = entry.content_type.model_class()
    bare_row = model() if model else None
    for name, values in (entry.changes or {}).items():
        if name in HIDDEN:
            continue
        words = field_label(bare_row, name) if bare_row else name
        before, after = _values(bare_row, name, values)
        what = f"{thing}: {words}" if thing else words
        yield Change(entry.timestamp, who, what, before, after, why)


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
        yield Change(decision.at, decision.actor_name, label(decision.action), why=decision.rationale)
