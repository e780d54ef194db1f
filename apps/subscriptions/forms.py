"""Forms of the subscription pages: they shape what people type; :mod:`apps.subscriptions.records` judges it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.db.models import Model

from apps.core.errors import DomainError
from apps.core.models import User
from apps.subscriptions import records
from apps.subscriptions.models import Approval, Subscription
from apps.subscriptions.records import CHANGEABLE

MOMENT = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
FORMATS = ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"]


class RecordForm(forms.Form):
    """What is to be recorded about one subscription."""

    title = ""
    verb = ""
    permission = ""

    def __init__(self, *args: Any, subscription: Subscription, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self.subscription = subscription

    def store(self, actor: User, now: datetime) -> Model:
        """Record it.

        Raises:
            DomainError: it is refused.
        """
        raise NotImplementedError

    def refuse(self, refusal: DomainError) -> None:
        """Show a refusal where it belongs."""
        for name, texts in refusal.fields.items():
            for text in texts:
                self.add_error(name if name in self.fields else None, text)
        if not refusal.fields:
            self.add_error(None, f"{refusal.message} ({refusal.code})")


class AttemptForm(RecordForm):
    """A try to charge the renewal that is due."""

    title = "Record a renewal attempt"
    verb = "Record the attempt"
    permission = "subscriptions.add_renewalattempt"

    success = forms.TypedChoiceField(
        label="What came of it",
        choices=[("1", "Paid"), ("0", "Failed")],
        coerce=lambda value: value == "1",
        widget=forms.RadioSelect,
        initial="0",
    )
    attempt_date = forms.DateTimeField(label="When (UTC)", widget=MOMENT, input_formats=FORMATS)
    decline_code = forms.CharField(
        required=False, max_length=60, help_text="As the payment provider names it, such as insufficient_funds."
    )
    error_message = forms.CharField(
        required=False, max_length=2_000, widget=forms.Textarea(attrs={"rows": 2}), help_text="What it said."
    )

    def store(self, actor: User, now: datetime) -> Model:
        return records.record_renewal_attempt(
            subscription_id=self.subscription.pk, actor=actor, now=now, **self.cleaned_data
        )


class ApprovalForm(RecordForm):
    """The owner's consent, which takes the place of an active one of the same kind."""

    title = "Set an approval"
    verb = "Set the approval"
    permission = "subscriptions.add_approval"

    approval_type = forms.ChoiceField(label="For", choices=Approval.Kind.choices)
    expires_at = forms.DateTimeField(label="Until (UTC)", widget=MOMENT, input_formats=FORMATS)

    def store(self, actor: User, now: datetime) -> Model:
        return records.set_approval(subscription_id=self.subscription.pk, actor=actor, now=now, **self.cleaned_data)


class BalanceForm(RecordForm):
    """What is there to pay the renewal with. News older than what is known changes nothing."""

    title = "Set the balance"
    verb = "Set the balance"
    permission = "subscriptions.change_accountbalance"

    amount = forms.DecimalField(max_digits=14, decimal_places=2, help_text="In the subscription's currency.")
    as_of = forms.DateTimeField(label="As of (UTC)", widget=MOMENT, input_formats=FORMATS)

    def store(self, actor: User, now: datetime) -> Model:
        return records.set_balance(
            subscription_id=self.subscription.pk,
            currency=self.subscription.currency,
            source=Subscription.BalanceSource.MANUAL,
            actor=actor,
            now=now,
            **self.cleaned_data,
        )


class EditForm(RecordForm):
    """The subscription's own fields, and why they change."""

    title = "Change the subscription"
    verb = "Save the change"
    permission = "subscriptions.change_subscription"

    name = forms.CharField(max_length=200)
    price = forms.DecimalField(min_value=0, max_digits=14, decimal_places=2, help_text="Amount of one renewal.")
    currency = forms.CharField(max_length=3, min_length=3, help_text="Three capital letters, such as EUR.")
    interval = forms.ChoiceField(choices=Subscription.Interval.choices)
    renews_on = forms.DateField(label="Renewal date", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))
    status = forms.ChoiceField(choices=Subscription.Status.choices)
    payment_method = forms.CharField(
        required=False, max_length=200, help_text="The payment provider's own name of it, never card data."
    )
    reason = forms.CharField(max_length=300, widget=forms.Textarea(attrs={"rows": 2}), help_text="Stands in the log.")

    def store(self, actor: User, now: datetime) -> Model:
        values = {name: self.cleaned_data[name] for name in self.cleaned_data if name in CHANGEABLE}
        return records.change_subscription(
            subscription_id=self.subscription.pk,
            changes=values,
            actor=actor,
            now=now,
            reason=self.cleaned_data["reason"],
        )


FORMS: dict[str, type[RecordForm]] = {
    "attempt": AttemptForm,
    "approval": ApprovalForm,
    "balance": BalanceForm,
    "edit": EditForm,
}
_INITIAL: dict[str, Callable[[Subscription, datetime], dict[str, Any]]] = {
    "approval": lambda subscription, now: {"approval_type": "renewal", "expires_at": now + timedelta(days=365)},
    "attempt": lambda subscription, now: {"attempt_date": now},
    "balance": lambda subscription, now: {"as_of": now},
    "edit": lambda subscription, now: {name: getattr(subscription, name) for name in CHANGEABLE},
}


def initial(what: str, subscription: Subscription, now: datetime) -> dict[str, Any]:
    """What stands in a form before anything is typed."""
    return _INITIAL[what](subscription, now) if what in _INITIAL else {}
