"""Why a fact about a subscription is refused; codes are stable, for programs.

Status 422 says that the request is well-formed and yet wrong for this subscription, 409 that its state forbids it.
"""

from __future__ import annotations

from apps.core.errors import DomainError


class SubscriptionMissing(DomainError):
    code = "not_found"
    message = "There is no such subscription."
    status = 404


class AmountInvalid(DomainError):
    code = "amount_invalid"
    message = "An amount has at most two decimals, and 12 digits before them."
    status = 422


class AmountNegative(DomainError):
    code = "amount_negative"
    message = "The amount is below zero."
    status = 422


class AmountMismatch(DomainError):
    code = "amount_mismatch"
    message = "A renewal is of the subscription's price, and of nothing else."
    status = 422


class CurrencyMismatch(DomainError):
    code = "currency_mismatch"
    message = "This is not the subscription's currency."
    status = 422


class DateInFuture(DomainError):
    code = "date_in_future"
    message = "This moment lies in the future."
    status = 422


class DateInPast(DomainError):
    code = "date_in_past"
    message = "This moment lies in the past."
    status = 422


class DateOutOfRange(DomainError):
    code = "date_out_of_range"
    message = "This moment is too far away to be meant."
    status = 422


class RenewalUnknown(DomainError):
    code = "renewal_unknown"
    message = "That renewal is not due yet: it lies after the subscription's renewal date."
    status = 422


class SuccessWithDecline(DomainError):
    code = "success_with_decline"
    message = "An attempt that succeeded has neither an error message nor a decline code."
    status = 422


class RenewalPaid(DomainError):
    code = "renewal_paid"
    message = "This renewal is paid already."
    status = 409


class TooManyAttempts(DomainError):
    code = "too_many_attempts"
    message = "So many attempts at one renewal cannot be right."
    status = 409


class SubscriptionEnded(DomainError):
    code = "subscription_ended"
    message = "The subscription has ended, so nothing is renewed."
    status = 409


class ApprovalMissing(DomainError):
    code = "not_found"
    message = "There is no such approval."
    status = 404


class ApprovalNotActive(DomainError):
    code = "approval_not_active"
    message = "This approval has ended already."
    status = 409


class SubscriptionChanged(DomainError):
    code = "subscription_changed"
    message = "The subscription was changed since you looked at it. Look at what changed, then save again."
    status = 409


class SubscriptionExists(DomainError):
    code = "subscription_exists"
    message = "This subscription was added already."
    status = 409


class ValuesInvalid(DomainError):
    code = "invalid"
    message = "Some values are not valid."
