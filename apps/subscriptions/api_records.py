"""The API of what is recorded of a subscription: attempts, approvals and the balance."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.errors import DomainError
from apps.subscriptions import records
from apps.subscriptions import serializers as shapes
from apps.subscriptions.api_base import SubscriptionView, documented
from apps.subscriptions.api_lists import PAGE_PARAMETERS, newest_first, time_cursor
from apps.subscriptions.models import AccountBalance, Approval, RenewalAttempt
from apps.subscriptions.refusals import ApprovalMissing

_WRITE = (400, 401, 403, 404, 409, 413, 415, 422, 429)
_READ = (400, 401, 404, 429)


class BalanceMissing(DomainError):
    """Nobody told a balance yet."""

    code = "balance_missing"
    message = "No balance is known for this subscription."
    status = 404


class AttemptsView(SubscriptionView):
    """A subscription's attempts."""

    @documented(
        {200: shapes.AttemptPage},
        name="attempts",
        summary="Renewal attempts",
        refused=_READ,
        parameters=PAGE_PARAMETERS,
    )
    def get(self, request: Request, subscription_id: UUID) -> Response:
        """Newest first."""
        self.visible(subscription_id)
        rows = RenewalAttempt.objects.filter(subscription_id=subscription_id)
        page = newest_first(rows, "attempt_date", request)
        shown = page.rows[: page.size]
        cursor = time_cursor(shown[-1].attempt_date, shown[-1].pk) if shown else ""
        return page.response(request, list(shapes.AttemptSerializer(shown, many=True).data), cursor)

    @documented(
        {201: shapes.AttemptAnswer},
        name="attempt_record",
        summary="Record a renewal attempt",
        request=shapes.AttemptBody,
        refused=_WRITE,
        key="required",
    )
    def post(self, request: Request, subscription_id: UUID) -> Response:
        """Record that a renewal was tried. A success moves the renewal date on; the risk is calculated at once."""
        self.visible(subscription_id, verbs=("subscriptions.add_renewalattempt",))
        values = self.values(shapes.AttemptBody)

        def work() -> tuple[int, Any]:
            made = records.record_renewal_attempt(
                subscription_id=subscription_id, actor=self.person, now=timezone.now(), **values
            )
            return 201, shapes.attempt_data(made)

        return self.data_once(work, key_required=True)


class ApprovalsView(SubscriptionView):
    """A subscription's approvals."""

    @documented(
        {200: shapes.ApprovalPage}, name="approvals", summary="Approvals", refused=_READ, parameters=PAGE_PARAMETERS
    )
    def get(self, request: Request, subscription_id: UUID) -> Response:
        """Those that are valid longest first."""
        self.visible(subscription_id)
        page = newest_first(Approval.objects.filter(subscription_id=subscription_id), "expires_at", request)
        shown = page.rows[: page.size]
        cursor = time_cursor(shown[-1].expires_at, shown[-1].pk) if shown else ""
        return page.response(request, list(shapes.ApprovalSerializer(shown, many=True).data), cursor)

    @documented(
        {201: shapes.ApprovalAnswer},
        name="approval_set",
        summary="Set an approval",
        request=shapes.ApprovalBody,
        refused=_WRITE,
        key="required",
    )
    def post(self, request: Request, subscription_id: UUID) -> Response:
        """Record the owner's consent. An active approval of the same type is revoked: the new one takes its place."""
        self.visible(subscription_id, verbs=("subscriptions.add_approval",), owner=True)
        values = self.values(shapes.ApprovalBody)

        def work() -> tuple[int, Any]:
            made = records.set_approval(
                subscription_id=subscription_id, actor=self.person, now=timezone.now(), **values
            )
            return 201, shapes.ApprovalSerializer(made).data

        return self.data_once(work, key_required=True)


class RevokeView(SubscriptionView):
    """Taking an approval back."""

    @documented(
        {200: shapes.ApprovalAnswer},
        name="approval_revoke",
        summary="Revoke an approval",
        refused=(401, 403, 404, 409, 413, 429),
    )
    def post(self, request: Request, subscription_id: UUID, approval_id: UUID) -> Response:
        """Take a consent back. 409 `approval_not_active` if it has ended already."""
        self.visible(subscription_id, verbs=("subscriptions.change_approval",), owner=True)
        if not Approval.objects.filter(pk=approval_id, subscription_id=subscription_id).exists():
            raise ApprovalMissing
        revoked = records.revoke_approval(approval_id=approval_id, actor=self.person, now=timezone.now())
        return Response({"success": True, "data": shapes.ApprovalSerializer(revoked).data})


class BalanceView(SubscriptionView):
    """What is there to pay with."""

    @documented({200: shapes.BalanceAnswer}, name="balance", summary="The balance")
    def get(self, request: Request, subscription_id: UUID) -> Response:
        """The balance as last told. 404 `balance_missing` if none was."""
        self.visible(subscription_id)
        balance = AccountBalance.objects.filter(subscription_id=subscription_id).first()
        if balance is None:
            raise BalanceMissing
        return Response({"success": True, "data": shapes.balance_data(balance)})

    @documented(
        {200: shapes.BalanceAnswer},
        name="balance_set",
        summary="Set the balance",
        request=shapes.BalanceBody,
        refused=_WRITE,
        key="optional",
    )
    def put(self, request: Request, subscription_id: UUID) -> Response:
        """Tell a balance; the answer is the one that counts, so older news than what is known changes nothing."""
        needs = ("subscriptions.add_accountbalance", "subscriptions.change_accountbalance")
        self.visible(subscription_id, verbs=needs)
        values = self.values(shapes.BalanceBody)

        def work() -> tuple[int, Any]:
            balance = records.set_balance(
                subscription_id=subscription_id, actor=self.person, now=timezone.now(), **values
            )
            return 200, shapes.balance_data(balance)

        return self.data_once(work)
