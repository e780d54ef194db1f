from django.apps import AppConfig


class RegisterConfig(AppConfig):
    name = "apps.register"
    label = "register"
    verbose_name = "Risk register"
