"""What all views of subscriptions share: who may, which subscription, and answers by idempotency key."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.actions.serializers import ErrorSerializer
from apps.core import bodies
from apps.core.idempotency import Answer, KeyMissing, fingerprint, once
from apps.core.models import User
from apps.subscriptions.models import Subscription
from apps.subscriptions.refusals import SubscriptionMissing

REFUSED = (400, 401, 403, 404, 409, 413, 415, 422, 429)
KEY_PATTERN = r"^[\x21-\x7e]{1,200}$"


def _key(required: bool) -> OpenApiParameter:
    return OpenApiParameter(
        "Idempotency-Key",
        {"type": "string", "pattern": KEY_PATTERN},
        OpenApiParameter.HEADER,
        required=required,
        description="A key of your own, best a UUID. The same request with the same key gets the first answer again, "
        "for seven days; another request with it is refused.",
    )


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
    """Describe an operation: answers by status, and with which statuses it refuses.

    Args:
        name: of the operation, for generated clients.
        key: ``required`` or ``optional`` if it takes an idempotency key.
    """
    found = list(parameters or [])
    if key:
        found.append(_key(key == "required"))
    return extend_schema(
        operation_id=name,
        summary=summary,
        tags=["subscriptions"],
        request=request,
        parameters=found,
        responses=answers | {code: ErrorSerializer for code in refused},
    )


class SubscriptionView(APIView):
    """A view of subscriptions that the person may see: the own ones, and those of the scopes of the person's role.

    What a person may not see is answered as if it did not exist. Only then the verb is looked at: 403 says that the
    role may look at this subscription and not do that with it.
    """

    permission_classes = [IsAuthenticated]
    parser_classes = [bodies.DocumentParser]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            bodies.read_small(request)

    @property
    def person(self) -> User:
        """Who asks; the permission let nobody else through."""
        return cast(User, self.request.user)

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

    def values(self, shape: type[serializers.Serializer]) -> dict[str, Any]:
        """The request's body, checked."""
        serializer = shape(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def answer_once(self, work: Callable[[], tuple[int, Any]], *, key_required: bool = False) -> Response:
        """Do something once per idempotency key, in one transaction.

        Args:
            work: gives the status and what goes into ``data``.

        Raises:
            KeyMissing: a key is required and not given.
        """
        key = self.request.headers.get("Idempotency-Key")
        if key is None and key_required:
            raise KeyMissing
        body = json.dumps(self.request.data, sort_keys=True).encode()
        mark = fingerprint(str(self.request.method), self.request.path, body)

        def made() -> Answer:
            status, data = work()
            return Answer(status, json.loads(JSONRenderer().render({"success": True, "data": data})))

        answer = once(key, user=self.person, mark=mark, now=timezone.now(), work=made)
        headers = {"Idempotency-Replayed": "true"} if answer.replayed else None
        return Response(answer.body, status=answer.status, headers=headers)
