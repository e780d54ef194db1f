"""Start-up of the orders."""

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "apps.orders"
    label = "orders"
    verbose_name = "Orders"

    def ready(self) -> None:
        from apps.core.audit import audit
        from apps.orders.models import Store

        audit(Store, mask=["webhook_secret", "webhook_secret_previous", "api_token"])
