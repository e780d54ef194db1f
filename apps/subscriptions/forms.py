"""Forms of the subscription pages: they shape what people type; :mod:`apps.subscriptions.records` judges it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.db.models import Model, Q, QuerySet

from apps.core.errors import DomainError
from apps.core.models import Scope, User
from apps.subscriptions import records
from apps.subscriptions.models import Approval, Subscription
from apps.subscriptions.records import CHANGEABLE
from apps.subscriptions.refusals import SubscriptionChanged

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


class FieldsForm(RecordForm):
    """The subscription's own fields, and why they are as they are."""

    name = forms.CharField(max_length=200)
    price = forms.DecimalField(min_value=0, max_digits=14, decimal_places=2, help_text="Amount of one renewal.")
    currency = forms.CharField(
        max_length=3, min_length=3, help_text="Three capital letters of ISO 4217, such as EUR.",
        widget=forms.TextInput(attrs={"autocapitalize": "characters", "autocomplete": "off"}),
    )  # fmt: skip
    interval = forms.ChoiceField(choices=Subscription.Interval.choices)
    renews_on = forms.DateField(label="Renewal date", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))
    status = forms.ChoiceField(choices=Subscription.Status.choices)
    payment_method = forms.CharField(
        required=False, max_length=200, help_text="The payment provider's own name of it, never card data."
    )
    reason = forms.CharField(max_length=300, widget=forms.Textarea(attrs={"rows": 2}), help_text="Stands in the log.")

    def clean_currency(self) -> str:
        return str(self.cleaned_data["currency"]).upper()

    def clean_payment_method(self) -> str:
        """Refuse what looks like a card number: it must not be kept here."""
        method = str(self.cleaned_data["payment_method"])
        if _looks_like_a_card(method):
            raise forms.ValidationError("This looks like a card number. Enter the provider's name of the method.")
        return method

    def values(self) -> dict[str, Any]:
        """The subscription's fields of the form."""
        return {name: self.cleaned_data[name] for name in self.cleaned_data if name in CHANGEABLE}


def _looks_like_a_card(text: str) -> bool:
    """13 to 19 digits with a right check digit (ISO/IEC 7812), however they are grouped."""
    digits = [int(one) for one in text if one in "0123456789"]
    if not 13 <= len(digits) <= 19 or any(one not in "0123456789 -" for one in text):
        return False
    doubled = [2 * one - 9 * (one > 4) for one in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


class EditForm(FieldsForm):
    """Changes of a subscription. It carries what its person saw, so that nobody overwrites a change unseen."""

    title = "Change the subscription"
    verb = "Save the change"
    permission = "subscriptions.change_subscription"

    seen = forms.JSONField(widget=forms.HiddenInput)

    def clean_seen(self) -> dict[str, str]:
        seen = self.cleaned_data["seen"]
        if not isinstance(seen, dict) or set(seen) != CHANGEABLE:
            raise forms.ValidationError("Open the form again: it does not say what you saw.")
        return {name: str(value) for name, value in seen.items()}

    def store(self, actor: User, now: datetime) -> Model:
        return records.change_subscription(
            subscription_id=self.subscription.pk,
            changes=self.values(),
            actor=actor,
            now=now,
            reason=self.cleaned_data["reason"],
            seen=self.cleaned_data["seen"],
        )

    def refuse(self, refusal: DomainError) -> None:
        """Where somebody else changed a field: show it as it is now, unless this person typed something else there.

        What is saved next is bound to what this answer shows.
        """
        if not isinstance(refusal, SubscriptionChanged):
            return super().refuse(refusal)
        self.subscription.refresh_from_db()
        current, seen = records.seen_values(self.subscription), self.cleaned_data["seen"]
        typed = dict(self.data.items())
        untouched = {name: current[name] for name in refusal.fields if str(typed.get(name, "")).strip() == seen[name]}
        self.data = {**typed, **untouched, "seen": json.dumps(current)}
        super().refuse(refusal)
        self.add_error(None, refusal.message)


class AddForm(FieldsForm):
    """A new subscription."""

    title = "Add a subscription"
    verb = "Add the subscription"
    permission = "subscriptions.add_subscription"

    owner = forms.CharField(max_length=254, help_text="User name or e-mail of the person who pays.")
    scope = forms.ModelChoiceField(Scope.objects.none(), label="Organisation")
    key = forms.UUIDField(widget=forms.HiddenInput)
    field_order = ["owner", "scope", "name"]

    def __init__(self, *args: Any, scopes: QuerySet[Scope], may_be_nobodys: bool, **kwargs: Any) -> None:
        super().__init__(*args, subscription=Subscription(), **kwargs)
        field = self.fields["scope"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset, field.required = scopes, not may_be_nobodys
        field.help_text = "Who works in it sees the subscription."
        if may_be_nobodys:
            field.empty_label = "None: for those who see all"

    def clean_owner(self) -> User:
        """The one active person of this name or address.

        Raises:
            ValidationError: there is none, or several share the address.
        """
        given = str(self.cleaned_data["owner"])
        found = list(User.objects.filter(Q(username=given) | Q(email__iexact=given), is_active=True)[:2])
        if not found:
            raise forms.ValidationError("No active person has this user name or e-mail.")
        if len(found) > 1:
            raise forms.ValidationError("Several people have this e-mail; enter the user name.")
        return found[0]

    def store(self, actor: User, now: datetime) -> Model:
        return records.add_subscription(
            subscription_id=self.cleaned_data["key"],
            scope=self.cleaned_data["scope"],
            owner=self.cleaned_data["owner"],
            values=self.values(),
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
    "edit": lambda subscription, now: {
        **{name: getattr(subscription, name) for name in CHANGEABLE},
        "seen": records.seen_values(subscription),
    },
}


def initial(what: str, subscription: Subscription, now: datetime) -> dict[str, Any]:
    """What stands in a form before anything is typed."""
    return _INITIAL[what](subscription, now) if what in _INITIAL else {}
