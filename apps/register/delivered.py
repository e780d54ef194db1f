"""Controls that come with the product, and which mitigations of the delivered assessments rely on them.

The data are in ``data/controls.toml``. What people changed is kept: a control that is there stays as it is, and mitigations
that have a control already get no other.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django.db import transaction

from apps.register.models import Control, Mitigation

DATA = Path(__file__).with_name("data")


@dataclass(frozen=True, slots=True)
class Ensured:
    """What was added.

    Attributes:
        controls: controls that were missing.
        mitigations: mitigations that had no control and have some now.
    """

    controls: int
    mitigations: int


@cache
def delivered() -> dict[str, Any]:
    """The data as they are in the file."""
    return tomllib.loads((DATA / "controls.toml").read_text())


@transaction.atomic
def ensure_controls() -> Ensured:
    """Add the delivered controls that are missing, and tie mitigations of the delivered assessments to theirs.

    Mitigations are recognised by the title of their risk and their own; of the assessment's strategy by their own alone.
    Nothing happens to assessments that are not there. Doing it again changes nothing.
    """
    there = set(Control.objects.values_list("slug", flat=True))
    added = [_control(row) for row in delivered()["control"] if row["slug"] not in there]
    for control in added:
        control.save()  # one by one, so that each is audited
    known = {
        control.slug: control
        for control in Control.objects.filter(slug__in=[row["slug"] for row in delivered()["control"]])
    }
    tied = 0
    for assessment in delivered()["assessment"]:
        for title, measures in assessment["risks"].items():
            tied += _tie(measures, known, risk__title=title[:200])
        tied += _tie(assessment.get("actions", {}), known, risk__isnull=True)
    return Ensured(len(added), tied)


def _control(row: Mapping[str, Any]) -> Control:
    check = row.get("check", "")
    return Control(
        slug=row["slug"],
        title=row["title"],
        kind=Control.Kind.CHECKED if check else Control.Kind.ATTESTED,
        check_slug=check,
        every_days=row.get("every_days", 90),
        owner_role=row.get("owner_role", ""),
    )


def _tie(measures: Mapping[str, list[str]], known: Mapping[str, Control], **where: Any) -> int:
    bare = Mitigation.objects.filter(controls=None, title__in=list(measures), **where)
    for mitigation in bare:
        mitigation.controls.add(*(known[slug] for slug in measures[mitigation.title]))
    return len(bare)
