"""What all views of subscriptions share: which subscription, who may, and the shape of answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.response import Response

from apps.actions.serializers import ErrorSerializer
from apps.core.api_base import PersonView, described, key_header
from apps.subscriptions.models import Subscription
from apps.subscriptions.refusals import SubscriptionMissing


def documented(
    answers: dict[int, Any],
    *,
    name: str,
    summary: str,
    request: type[serializers.Serializer] | None = None,
    refused: tuple[int, ...] = (401, 404, 429),
    key: str = "",
    parameters: list[OpenApiParameter] | None = None,
) -> Any:
    """Describe an operation.

    Args:
        key: ``required`` or ``optional`` if it takes an idempotency key.
    """
    return described(
        "subscriptions", answers, refusal=ErrorSerializer, name=name, summary=summary, refused=refused, request=request,
        parameters=[*(parameters or []), key_header(required=key == "required") if key else None],
    )  # fmt: skip


class SubscriptionView(PersonView):
    """A view of subscriptions that the person may see: the own ones, and those of the scopes of the person's role.

    What a person may not see is answered as if it did not exist. Only then the verb is looked at: 403 says that the
    role may look at this subscription and not do that with it.
    """

    def visible(self, subscription_id: UUID, *, verbs: tuple[str, ...] = (), owner: bool = False) -> Subscription:
        """The subscription, if the person may see it and do what is asked.

        Args:
            verbs: permissions of which each is needed.
            owner: whether the owner needs none.

        Raises:
            SubscriptionMissing: there is none such for this person.
            PermissionDenied: the person's role does not include it.
        """
        found = Subscription.objects.visible_to(self.person).filter(pk=subscription_id).first()
        if found is None:
            raise SubscriptionMissing
        if not (owner and found.owner_id == self.person.pk) and not self.person.has_perms(verbs):
            raise PermissionDenied
        return found

    def data_once(self, work: Callable[[], tuple[int, Any]], *, key_required: bool = False) -> Response:
        """Do something once per idempotency key, in one transaction.

        Args:
            work: gives the status and what goes into ``data``.

        Raises:
            KeyMissing: a key is required and not given.
        """

        def wrapped() -> tuple[int, Any]:
            status, data = work()
            return status, {"success": True, "data": data}

        return self.answer_once(wrapped, key_required=key_required)
