from django.apps import AppConfig


class EscalationConfig(AppConfig):
    name = "apps.escalation"
    label = "escalation"
    verbose_name = "Escalation"

    def ready(self) -> None:
        # Models are loaded by now, so the indicators may use them.
        from apps.core.audit import audit
        from apps.escalation import models
        from apps.escalation.signs import indicators

        indicators.discover("apps.escalation.indicators")
        for model in (models.Calendar, models.CannedReply, models.Category, models.Course, models.Phrase, models.Team):
            audit(model)
        audit(models.Endpoint, mask=["secret", "url"])  # a path or a query may be a secret, too
