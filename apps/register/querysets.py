"""Named queries over the risk register."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from typing import Any, Self

from django.db import models
from django.db.models import Case, CharField, Exists, OuterRef, Q, Subquery, Value, When
from django.db.models.functions import Coalesce

from apps.core.models import User
from apps.core.scope import in_scope

EDIT_ANY = "register.edit_any_risk"


class RiskQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: User) -> Self:
        """Risks that a person may see: the own ones, those of the person's scopes, and those of the whole company."""
        if not user.is_active or not user.is_authenticated:
            return self.none()
        return in_scope(self, user) | self.filter(owner=user)

    def editable_by(self, user: User) -> Self:
        """Risks that a person may change: every visible one for risk managers, the own ones for owners."""
        visible = self.visible_to(user)
        if not user.has_perm("register.change_risk"):
            return visible.none()
        return visible if user.has_perm(EDIT_ANY) else visible.filter(owner=user)

    def open(self) -> Self:
        """Risks that still count."""
        return self.exclude(status="closed")

    def due_for_review(self, today: date) -> Self:
        return self.open().filter(next_review_on__lte=today)


class RatingQuerySet(models.QuerySet[Any]):
    def latest(self, kind: str | None = None) -> Self:  # type: ignore[override]
        """The score of each risk that counts now, of one kind or of all."""
        found = self.filter(latest=True)
        return found.filter(kind=kind) if kind else found


class AssessmentQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: User) -> Self:
        return in_scope(self, user)


class AcceptanceQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: User) -> Self:
        """Those of risks that a person may see."""
        from apps.register.models import Risk  # the model is made from this module

        return self.filter(Exists(Risk.objects.visible_to(user).filter(pk=OuterRef("risk_id"))))

    def held(self) -> Self:
        return self.filter(state="approved")


class MitigationQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: User) -> Self:
        """Those of risks and assessments that a person may see, and the own ones."""
        from apps.register.models import Risk, RiskAssessment  # the models are made from this module

        of_risk = Exists(Risk.objects.visible_to(user).filter(pk=OuterRef("risk_id")))
        of_assessment = Q(risk__isnull=True) & Exists(
            RiskAssessment.objects.visible_to(user).filter(pk=OuterRef("assessment_id"))
        )
        return self.filter(of_risk | of_assessment | Q(owner=user))

    def unfinished(self) -> Self:
        return self.exclude(status__in=["done", "dropped"])


class ControlQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: User) -> Self:
        """Controls belong to the whole company."""
        return self if user.is_active else self.none()

    def with_words(self, now: datetime) -> Self:
        """Each with ``said``: what it says now, as :func:`apps.register.controls.words_of` tells it; empty if nothing."""
        from apps.register.models import Attestation, CheckResult  # the models are made from this module

        looked = CheckResult.objects.filter(check_slug=OuterRef("check_slug"), latest=True).values("outcome")[:1]
        words = Attestation.objects.filter(control=OuterRef("pk")).order_by("-pk")
        word = Case(When(until__gte=now.date(), then=Subquery(words.values("outcome")[:1])), default=Value(""))
        return self.annotate(until=Subquery(words.values("valid_until")[:1])).annotate(
            said=Coalesce(
                Case(When(kind="checked", then=Subquery(looked)), default=word, output_field=CharField()), Value("")
            )
        )

    def overdue(self, now: datetime, late_checks: Collection[str]) -> Self:
        """Those in use that somebody should have attested by now, or whose check should have looked by now.

        Args:
            late_checks: slugs of the checks that are late, see :func:`apps.register.runs.late_checks`.
        """
        attested = Q(kind="attested") & (Q(until=None) | Q(until__lt=now.date()))
        return self.with_words(now).filter(attested | Q(check_slug__in=late_checks), active=True)


class IncidentQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: User) -> Self:
        return in_scope(self, user)

    def unresolved(self) -> Self:
        return self.filter(stage__in=["assessment", "containment", "resolution"])


class RegisterReviewQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: User) -> Self:
        """Those of risks and assessments that a person may see."""
        from apps.register.models import Risk, RiskAssessment  # the models are made from this module

        return self.filter(
            Exists(Risk.objects.visible_to(user).filter(pk=OuterRef("risk_id")))
            | Exists(RiskAssessment.objects.visible_to(user).filter(pk=OuterRef("assessment_id")))
        )

    def unfinished(self) -> Self:
        return self.exclude(status="completed")
