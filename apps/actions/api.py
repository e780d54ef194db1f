"""The API of action cards: list, detail and decisions.

A decision says which version of the card was looked at, by ``If-Match`` (the ``ETag`` of the detail) or ``seen_version``;
if the card changed since, the answer is 409 ``card_changed`` with what changed. ``Idempotency-Key`` makes a repeated
request harmless.
"""

from __future__ import annotations

import re
from typing import Any, cast
from uuid import UUID, uuid4

from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from apps.actions import serializers as shapes
from apps.actions import services
from apps.actions.api_lists import CardFilter, CardPages
from apps.actions.decide import DECIDE, ROLL_BACK
from apps.actions.models import ActionCard, CardEvent, Execution
from apps.actions.rules import rules
from apps.core.bodies import DocumentParser, read_small
from apps.core.errors import DomainError
from apps.core.models import User
from apps.core.permissions import ScopedPermission

VIEW = "actions.view_actioncard"
TAG = r'^(W/)?"[1-9][0-9]{0,9}"$'


class VersionMissing(DomainError):
    """A decision must say what was looked at."""

    code = "version_required"
    message = "Say which version you looked at: by the header If-Match, or by seen_version."
    status = status.HTTP_428_PRECONDITION_REQUIRED


class CardPermission(ScopedPermission):
    """Everything asks for the right to see cards, a decision for its own right too; the object comes from the scope."""

    def has_permission(self, request: Request, view: Any) -> bool:
        user = request.user
        return bool(user and user.is_authenticated and user.has_perms([VIEW, view.needs]))


def _refused(*codes: int) -> dict[int, Any]:
    return {code: shapes.ErrorSerializer for code in (401, 403, 429, *codes)}


ERRORS = _refused(400, 404, 409, 413, 415, 422)
_KEY = OpenApiParameter(
    "Idempotency-Key", UUID, OpenApiParameter.HEADER, description="The same key again does nothing more."
)
_MATCH = OpenApiParameter(
    "If-Match",
    {"type": "string", "pattern": TAG, "example": '"3"'},
    OpenApiParameter.HEADER,
    description="The `ETag` of the card that was looked at.",
)


def _documented(shape: type[serializers.Serializer], answer: int, *, versioned: bool = True) -> Any:
    parameters = [_KEY, _MATCH] if versioned else [_KEY]
    refused = ERRORS | _refused(428) if versioned else ERRORS
    return extend_schema(
        request=shape, parameters=parameters, responses={answer: shapes.DecidedSerializer} | refused, filters=False
    )


@extend_schema_view(
    list=extend_schema(responses={200: shapes.CardSerializer(many=True)} | _refused(400, 422)),
    retrieve=extend_schema(responses={200: shapes.CardDetailSerializer} | _refused(404)),
)
class CardViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """Action cards of the scopes that a person may see."""

    queryset = ActionCard.objects.none()
    permission_classes = [CardPermission]
    parser_classes = [DocumentParser]
    filterset_class = CardFilter
    pagination_class = CardPages
    lookup_value_regex = "[0-9]{1,18}"
    needs = VIEW

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            read_small(request)

    def get_queryset(self) -> QuerySet[ActionCard]:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        cards = ActionCard.objects.visible_to(self._actor)
        cards = cards.select_related("scope", "rule_version", "decided_by")
        return cards.defer("evidence") if self.action == "list" else self._with_history(cards)

    @staticmethod
    def _with_history(cards: QuerySet[ActionCard]) -> QuerySet[ActionCard]:
        return cards.prefetch_related(
            Prefetch("events", CardEvent.objects.select_related("actor")),
            Prefetch("executions", Execution.objects.select_related("requested_by")),
        )

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        # A card is found by its id whatever its state; filters belong to the list.
        return super().filter_queryset(queryset) if self.action == "list" else queryset

    def get_serializer_class(self) -> type[serializers.BaseSerializer]:
        return shapes.CardSerializer if self.action == "list" else shapes.CardDetailSerializer

    def get_serializer_context(self) -> dict[str, Any]:
        context = dict(super().get_serializer_context())
        if not getattr(self, "swagger_fake_view", False):
            context["last_good"] = services.last_good_runs(rule.slug for rule in rules)
        return context

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One card with evidence, words, timeline and effects; its ``ETag`` is its version."""
        card = self.get_object()
        return Response(self.get_serializer(card).data, headers={"ETag": f'"{card.version}"'})

    def handle_exception(self, exc: Exception) -> Response:
        response: Response = super().handle_exception(exc)
        if isinstance(exc, services.CardChanged):
            changes = shapes.ChangeSerializer(exc.changes, many=True).data
            response.data["error"] |= {"changes": changes, "version": exc.version}
        return response

    @_documented(shapes.ApproveBody, 202)
    @action(detail=True, methods=["post"], needs=DECIDE)
    def approve(self, request: Request, pk: str) -> Response:
        """Have one of the card's actions done by a worker; its result appears among the executions."""
        values = self._values(shapes.ApproveBody)
        execution = services.approve(**self._bound(values), action=values["action"], message=values["message"],
                                     key=self._key() or uuid4())  # fmt: skip
        return self._decided(202, execution=execution)

    @_documented(shapes.DismissBody, 200)
    @action(detail=True, methods=["post"], needs=DECIDE)
    def dismiss(self, request: Request, pk: str) -> Response:
        """Take a card out of the queue, saying how the finding turned out."""
        values = self._values(shapes.DismissBody)
        services.dismiss(**self._bound(values), outcome=values["outcome"], reason=values["reason"], key=self._key())
        return self._decided(200)

    @_documented(shapes.EscalateBody, 200)
    @action(detail=True, methods=["post"], needs=DECIDE)
    def escalate(self, request: Request, pk: str) -> Response:
        """Raise a risk flag on the card's evidence."""
        values = self._values(shapes.EscalateBody)
        flag = services.escalate(**self._bound(values), level=values["level"], reason=values["reason"], key=self._key())
        return self._decided(200, risk_flag=flag.pk)

    @_documented(shapes.CardNoteBody, 200, versioned=False)
    @action(detail=True, methods=["post"], needs=DECIDE)
    def note(self, request: Request, pk: str) -> Response:
        """Write a line for colleagues."""
        values = self._values(shapes.CardNoteBody)
        card = self.get_object()
        services.add_note(card_id=card.pk, actor=self._actor, text=values["text"], key=self._key())
        return self._decided(200)

    @_documented(shapes.RetryBody, 202)
    @action(detail=True, methods=["post"], needs=DECIDE)
    def retry(self, request: Request, pk: str) -> Response:
        """Try an effect that failed again."""
        execution = services.retry(**self._bound(self._values(shapes.RetryBody)), key=self._key())
        return self._decided(202, execution=execution)

    @_documented(shapes.RollBackBody, 202)
    @action(detail=True, methods=["post"], needs=ROLL_BACK, url_path="roll-back")
    def roll_back(self, request: Request, pk: str) -> Response:
        """Undo what approving did, by a worker."""
        values = self._values(shapes.RollBackBody)
        execution = services.roll_back(**self._bound(values), reason=values["reason"], key=self._key() or uuid4())
        return self._decided(202, execution=execution)

    @property
    def _actor(self) -> User:
        return cast(User, self.request.user)  # the permission let nobody else through

    def _values(self, shape: type[serializers.Serializer]) -> dict[str, Any]:
        serializer = shape(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def _bound(self, values: dict[str, Any]) -> dict[str, Any]:
        """Which card, which version of it, and who: what each decision of the services takes."""
        card = self.get_object()
        return {"card_id": card.pk, "seen_version": self._seen(values), "actor": self._actor}

    def _seen(self, values: dict[str, Any]) -> int:
        """The version that was looked at.

        Raises:
            VersionMissing: it is not said.
            ValidationError: it is said wrongly, or in two ways that differ.
        """
        header, seen = self.request.headers.get("If-Match"), values.get("seen_version")
        if header is None:
            if seen is None:
                raise VersionMissing
            return int(seen)
        version = int(header.strip().removeprefix("W/")[1:-1]) if re.search(TAG, header.strip()) else None
        if version is None or seen not in (None, version):
            raise ValidationError({"If-Match": ['One version, such as "3", equal to seen_version if both are given.']})
        return version

    def _key(self) -> UUID | None:
        """The idempotency key, if one is given.

        Raises:
            ValidationError: it is no UUID.
        """
        text = self.request.headers.get("Idempotency-Key")
        try:
            return UUID(text) if text else None
        except ValueError:
            raise ValidationError({"Idempotency-Key": ["A UUID."]}) from None

    def _decided(self, code: int, *, execution: Execution | None = None, risk_flag: int | None = None) -> Response:
        """The card as it is now, read again."""
        card = self.get_object()
        decided = {"card": card, "execution": execution, "risk_flag": risk_flag}
        data = shapes.DecidedSerializer(decided, context=self.get_serializer_context()).data
        return Response(data, status=code, headers={"ETag": f'"{card.version}"'})
