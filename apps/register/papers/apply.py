"""Writing what a comparison found: new rows in batches, changed rows one by one so that the audit log sees each field."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from django.db import connection
from django.utils import timezone

from apps.core.decisions import record
from apps.core.roles import Role
from apps.register.acceptances import outdate
from apps.register.binding import save_risk
from apps.register.models import Category, Rating, Risk, RiskAssessment, RiskLink
from apps.register.papers.plan import CHANGED, NEW, RiskPlan
from apps.register.papers.register import source_of
from apps.register.papers.shapes import PaperRisk, PaperScore
from apps.register.papers.work import Work, day
from apps.register.papers.write_head import write_head
from apps.register.papers.write_mitigations import new_mitigation, store, write_mitigations
from apps.register.risks import give_score

BATCH = 500
_TEXTS = ("title", "description", "cause", "consequence", "status", "treatment", "proximity", "owner_role")
Categories = dict[tuple[str, ...], int]


class Writer:
    """Writes one comparison, in the caller's transaction.

    Attributes:
        keys: the register's key of each risk of the paper that was written, by its place in the paper.
    """

    def __init__(self, work: Work) -> None:
        self.work = work
        self.paper = work.paper
        self.scales = work.scales
        self.keys: dict[int, int] = {}

    def write(self, assessment: RiskAssessment | None) -> RiskAssessment:
        """Do all of it, and return the assessment."""
        there = write_head(self.work, assessment)
        write_mitigations(self.work, self.work.found.plan.actions, self.paper.actions, assessment=there)
        self._risks(there)
        return there

    def _risks(self, assessment: RiskAssessment) -> None:
        work = [one for one in self.work.found.plan.risks if one.label in (NEW, CHANGED)]
        new = [one for one in work if one.label == NEW]
        categories = self._categories({risk.path for risk in self.paper.risks if risk.path})
        positions = self._positions(new)
        done = 0
        for start in range(0, len(new), BATCH):
            batch = new[start : start + BATCH]
            self._create(assessment, batch, positions[start : start + BATCH], categories)
            done += len(batch)
            self.work.progress(done, len(work))
        for number, one in enumerate((one for one in work if one.label == CHANGED), start=done + 1):
            self._change(one, categories)
            self.work.progress(number, len(work))

    def _positions(self, new: Sequence[RiskPlan]) -> list[int]:
        """Places of new risks: the paper's own numbers if they rise through the whole paper, else the next ones."""
        numbers = [int(risk.number) if _is_place(risk.number) else -1 for risk in self.paper.risks]
        rising = -1 not in numbers and all(one < two for one, two in pairwise(numbers))
        if rising and not self.work.found.rows:
            return [numbers[one.index] for one in new if one.index is not None]
        last = max((held.row.position or 0 for held in self.work.found.rows.values()), default=0)
        return list(range(last + 1, last + 1 + len(new)))

    def _categories(self, paths: set[tuple[str, ...]]) -> Categories:
        """Keys of the categories, which are made if they are not there, the upper ones first."""
        wanted = sorted({path[:depth] for path in paths for depth in range(1, len(path) + 1)}, key=len)
        names = {path: " > ".join(path) for path in wanted}
        keys = dict(Category.objects.filter(path__in=names.values()).values_list("path", "pk"))
        for path in wanted:
            if names[path] not in keys:
                parent = keys.get(" > ".join(path[:-1]))
                made = Category.objects.create(name=path[-1], path=names[path], parent_id=parent)
                keys[names[path]] = made.pk
        return {path: keys[name] for path, name in names.items()}

    def _create(
        self,
        assessment: RiskAssessment,
        batch: Sequence[RiskPlan],
        positions: Sequence[int],
        categories: Categories,
    ) -> None:
        papers = [self.paper.risks[one.index] for one in batch if one.index is not None]
        rows = [
            self._row(assessment, paper, position, reference, categories)
            for paper, position, reference in zip(papers, positions, _references(len(batch)), strict=True)
        ]
        # A risk of this source may have moved to another assessment; the new one is told apart by its reference.
        taken = set(Risk.objects.filter(source__in=[row.source for row in rows]).values_list("source", flat=True))
        for row in rows:
            row.source = f"{row.source}#{row.reference}" if row.source in taken else row.source
        Risk.objects.bulk_create(rows)
        for one, row in zip(batch, rows, strict=True):
            assert one.index is not None
            self.keys[one.index] = row.pk
        Rating.objects.bulk_create(
            self._rating(row.pk, score) for row, paper in zip(rows, papers, strict=True) for score in paper.scores
        )
        mitigations = [
            (new_mitigation(self.work, paper, place, risk=row), paper.controls or ())
            for row, risk in zip(rows, papers, strict=True)
            for place, paper in enumerate(risk.mitigations, start=1)
        ]
        store(self.work, mitigations)
        RiskLink.objects.bulk_create(
            RiskLink(risk=row, target=target, added_by=self.work.person, added_at=self.work.now)
            for row, paper in zip(rows, papers, strict=True)
            for target in dict.fromkeys(paper.links or ())
        )

    def _row(
        self,
        assessment: RiskAssessment,
        paper: PaperRisk,
        position: int,
        reference: str,
        categories: Categories,
    ) -> Risk:
        texts = {name: getattr(paper, name) for name in _TEXTS if getattr(paper, name) is not None}
        if texts.get("status") == Risk.Status.ACCEPTED:
            del texts["status"]  # an acceptance is asked for and decided here; the plan says so
        texts["owner_role"] = texts.get("owner_role") or Role.RISK_MANAGER.value
        current = paper.score()
        return Risk(
            **texts,
            reference=reference,
            source=source_of(assessment.slug, paper.key),
            assessment=assessment,
            position=position,
            scope_id=assessment.scope_id,
            category_id=categories.get(paper.path),
            owner=self.work.users.get(paper.owner or ""),
            severity=self._severity(current),
            next_review_on=self._review(paper, current),
            recorded_by=self.work.person,
            recorded_at=self.work.now,
        )

    def _severity(self, score: PaperScore | None) -> int:
        scored = self.scales.score(score) if score else None
        return scored.severity if scored else 0

    def _review(self, paper: PaperRisk, score: PaperScore | None) -> date | None:
        """When the risk is looked at again: as stated, else as the matrix says of its level."""
        if paper.next_review_on is not None:
            return day(paper.next_review_on)
        scored = self.scales.score(score) if score else None
        days = self.scales.data(scored.version).review_every_days.get(scored.paper.level) if scored else None
        return timezone.localdate(self.work.now) + timedelta(days=days) if days else None

    def _rating(self, risk_id: int, score: PaperScore) -> Rating:
        scored = self.scales.score(score)
        assert scored is not None, "the plan keeps only scores that are on a matrix"
        return Rating(
            risk_id=risk_id,
            kind=score.kind,
            matrix=scored.version,
            probability=scored.probability,
            impact=scored.impact,
            level=scored.paper.level,
            severity=scored.severity,
            reason=score.reason or self.work.reason,
            rated_by=self.work.person,
            rated_at=self.work.now,
        )

    def _change(self, one: RiskPlan, categories: Categories) -> None:
        """Give new scores, then save what else differs as the next version; an acceptance that this outdates ends."""
        assert one.index is not None
        assert one.row is not None
        paper = self.paper.risks[one.index]
        risk = Risk.objects.select_for_update(of=("self",), no_key=True).select_related("assessment").get(pk=one.row)
        self.keys[one.index] = risk.pk
        fields = [change.field for change in one.changes]
        for score in paper.scores:
            if score.kind in fields:
                self._score(risk, score)
        for change in one.changes:
            if change.field == "link":
                facts = {"added_by": self.work.person, "added_at": self.work.now}
                RiskLink.objects.create(risk=risk, target=change.new, **facts)
        values = self._new_values(paper, fields, categories)
        for name, value in values.items():
            setattr(risk, name, value)
        before, outdated = risk.status, outdate(risk, self.work.now)
        changed = {*values, *(["status"] if risk.status != before else [])}
        # A score has made it the next version already; what changed of its mitigations does so too.
        if changed or not any(score.kind in fields for score in paper.scores):
            save_risk(risk, changed, self.work.actor, self.work.reason)
        if outdated:
            record(outdated)
        write_mitigations(self.work, one.mitigations, paper.mitigations, risk=risk)

    def _new_values(self, paper: PaperRisk, fields: Sequence[str], categories: Categories) -> dict[str, Any]:
        values: dict[str, Any] = {name: getattr(paper, name) for name in fields if name in _TEXTS}
        if "owner" in fields:
            values["owner"] = self.work.users.get(paper.owner or "")
        if "category" in fields:
            values["category_id"] = categories[paper.path]
        if "next_review_on" in fields:
            values["next_review_on"] = day(paper.next_review_on)
        return values

    def _score(self, risk: Risk, score: PaperScore) -> None:
        scored = self.scales.score(score)
        assert scored is not None, "the plan keeps only scores that are on a matrix"
        give_score(
            risk, kind=score.kind, steps=(scored.probability, scored.impact), level=scored.paper.level,
            matrix=scored.version, reason=score.reason or self.work.reason, actor=self.work.actor, now=self.work.now,
        )  # fmt: skip


def _is_place(number: str) -> bool:
    return number.isascii() and number.isdecimal() and len(number) < 10


def _references(count: int) -> list[str]:
    """The next numbers of the register; those that a rolled-back transaction drew are never used."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('register_risk_reference') FROM generate_series(1, %s)", [count])
        return [f"R-{number:04d}" for (number,) in cursor.fetchall()]
