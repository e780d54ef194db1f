"""Start-up of the subscriptions."""

from django.apps import AppConfig


class SubscriptionsConfig(AppConfig):
    name = "apps.subscriptions"
    label = "subscriptions"
    verbose_name = "Subscriptions"

    def ready(self) -> None:
        from apps.core.audit import audit
        from apps.subscriptions.factors import evaluators
        from apps.subscriptions.models import (
            AccountBalance,
            Approval,
            PaymentProvider,
            RetryPolicyVersion,
            Subscription,
        )

        audit(Subscription, exclude=["next_attempt_at", "next_attempt_reason", "updated_at"])
        audit(Approval)
        audit(AccountBalance)
        audit(PaymentProvider, mask=["api_token"])
        audit(RetryPolicyVersion)
        evaluators.discover("apps.subscriptions.evaluators")
