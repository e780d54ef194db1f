from django.apps import AppConfig
from django.db.models.signals import post_migrate


class RegisterConfig(AppConfig):
    name = "apps.register"
    label = "register"
    verbose_name = "Risk register"

    def ready(self) -> None:
        from apps.core.audit import audit
        from apps.register import checking, models  # models are loaded by now
        from apps.register.matrices import ensure_builtin

        # Ratings, attestations, check results, matrix versions and timelines are append-only: they are their own trail.
        for model in (
            models.Category, models.CommunicationTemplate, models.Incident, models.Matrix, models.PostIncidentReview,
            models.ProposedChange, models.RegisterReview, models.ReviewGate, models.ReviewPoint, models.RiskLink,
        ):  # fmt: skip
            audit(model)
        # Their versions are in the trail, so that it tells what changed since the one that somebody saw.
        audit(models.RiskAssessment)
        audit(models.Risk)
        audit(models.Acceptance, exclude=["warned_at"])
        audit(models.AssessmentVersion, exclude=["content"])
        audit(models.Mitigation, m2m=["controls"])
        audit(models.Control, exclude=["reminded_at"])
        checking.discover()
        post_migrate.connect(ensure_builtin, sender=self, dispatch_uid="register.builtin_matrices")
