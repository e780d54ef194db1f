from django.apps import AppConfig


class EscalationConfig(AppConfig):
    name = "apps.escalation"
    label = "escalation"
    verbose_name = "Escalation"

    def ready(self) -> None:
        # Models are loaded by now, so the indicators may use them.
        from apps.escalation.signs import indicators

        indicators.discover("apps.escalation.indicators")
