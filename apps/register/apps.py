from django.apps import AppConfig


class RegisterConfig(AppConfig):
    name = "apps.register"
    label = "register"
    verbose_name = "Risk register"

    def ready(self) -> None:
        from apps.core.audit import audit
        from apps.register import checking, models  # models are loaded by now

        # Ratings, attestations, check results, matrix versions and timelines are append-only: they are their own trail.
        for model in (
            models.Category, models.CommunicationTemplate, models.Incident, models.Matrix, models.PostIncidentReview,
            models.ProposedChange, models.RegisterReview, models.ReviewGate, models.ReviewPoint, models.RiskLink,
        ):  # fmt: skip
            audit(model)
        audit(models.RiskAssessment, exclude=["version"])
        audit(models.Risk, exclude=["version"])
        audit(models.Acceptance, exclude=["warned_at"])
        audit(models.AssessmentVersion, exclude=["content"])
        audit(models.Mitigation, exclude=["version"], m2m=["controls"])
        audit(models.Control, exclude=["reminded_at"])
        checking.discover()
