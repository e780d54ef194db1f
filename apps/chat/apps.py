from django.apps import AppConfig


class ChatConfig(AppConfig):
    name = "apps.chat"
    label = "chat"
    verbose_name = "Chat"

    def ready(self) -> None:
        from apps.chat import flagging, models, replies  # models are not there before
        from apps.chat.desk import place
        from apps.core.audit import audit

        audit(models.ChatSite, mask=["identity_secret"])
        audit(models.HandoffRating)
        flagging.offer()
        replies.offer()
        place.show()
