from django.apps import AppConfig


class ChatConfig(AppConfig):
    name = "apps.chat"
    label = "chat"
    verbose_name = "Chat"

    def ready(self) -> None:
        from apps.chat import models  # models are not there before
        from apps.core.audit import audit

        audit(models.ChatSite, mask=["identity_secret"])
        audit(models.HandoffRating)
