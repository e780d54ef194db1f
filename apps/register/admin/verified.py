"""What shows that a risk's mitigations hold: by machine, by a person, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse

from apps.register.models import Attestation, CheckResult, Control, Mitigation, Risk


@dataclass(frozen=True, slots=True)
class Shown:
    """A control and what it says now.

    Attributes:
        outcome: pass, warn, fail or error; empty while nothing was said, or what was said no longer holds.
        words: what the check found, or what the person stated.
    """

    control: Control
    outcome: str
    words: str
    at: datetime | None
    url: str


@dataclass(frozen=True, slots=True)
class Line:
    """A mitigation with its controls."""

    mitigation: Mitigation
    controls: tuple[Shown, ...]

    @property
    def by(self) -> str:
        """How it is verified: by machine, by a person, or not at all."""
        spoken = {one.control.kind for one in self.controls if one.outcome}
        if Control.Kind.CHECKED in spoken:
            return "machine"
        return "person" if spoken else "nobody"


def lines(risk: Risk, now: datetime) -> list[Line]:
    """A risk's mitigations, each with what its controls say now."""
    mitigations = list(risk.mitigations.select_related("owner").prefetch_related("controls"))
    controls = {one.pk: one for row in mitigations for one in row.controls.all() if one.active}
    shown = {one.control.pk: one for one in said(list(controls.values()), now)}
    return [Line(row, tuple(shown[one.pk] for one in row.controls.all() if one.pk in shown)) for row in mitigations]


def said(controls: Sequence[Control], now: datetime) -> list[Shown]:
    """What controls say now, read in two statements for all of them."""
    results = {
        row.check_slug: row
        for row in CheckResult.objects.filter(
            latest=True, check_slug__in=[one.check_slug for one in controls if one.check_slug]
        )
    }
    words: dict[int, Attestation] = {}
    for row in Attestation.objects.filter(control__in=controls).order_by("pk"):
        words[row.control_id] = row  # the last one counts
    return [_shown(one, results.get(one.check_slug), words.get(one.pk), now) for one in controls]


def _shown(control: Control, result: CheckResult | None, word: Attestation | None, now: datetime) -> Shown:
    url = reverse("admin:register_control_change", args=[control.pk])
    if control.kind == Control.Kind.CHECKED:
        if result is None:
            return Shown(control, "", "Has not run yet.", None, url)
        return Shown(control, result.outcome, result.summary, result.checked_at, url)
    if word is None:
        return Shown(control, "", "Nobody has attested it yet.", None, url)
    if word.valid_until < now.date():
        return Shown(control, "", f"The attestation ended on {word.valid_until}.", word.attested_at, url)
    return Shown(control, word.outcome, word.statement, word.attested_at, url)


def standing(done: Sequence[Line]) -> dict[str, Any]:
    """How many mitigations are verified how, and how many controls fail."""
    counted = [line for line in done if line.mitigation.status != Mitigation.Status.DROPPED]
    by = [line.by for line in counted]
    failing = {one.control.pk for line in counted for one in line.controls if one.outcome in ("fail", "error")}
    return {
        "total": len(counted),
        "machine": by.count("machine"),
        "person": by.count("person"),
        "nobody": by.count("nobody"),
        "failing": len(failing),
    }
