"""What all views of the register share: who may, pages, bodies, and writes bound to a version by If-Match."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, cast

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from apps.core import bodies
from apps.core.errors import DomainError
from apps.core.idempotency import Answer, fingerprint, once
from apps.core.models import User
from apps.core.numbers import whole
from apps.register.api_shapes import RegisterRefusalSerializer

READ = (401, 403, 404, 429)
WRITE = (400, 401, 403, 404, 409, 413, 415, 422, 429)
BOUND = (*WRITE, 412, 428)
PAGE_SIZE, MAX_PAGE_SIZE = 50, 200
_TAG = re.compile(r'(?:W/)?"([1-9][0-9]{0,8})"', re.ASCII)
_MATCH = OpenApiParameter(
    "If-Match",
    {"type": "string", "pattern": r'^(W/)?"[1-9][0-9]{0,8}"$', "example": '"3"'},
    OpenApiParameter.HEADER,
    required=True,
    description="The `ETag` of what was looked at. Nothing is done, and 412 answered, if there is a newer version.",
)
_ETAG = OpenApiParameter(
    "ETag", str, OpenApiParameter.HEADER, response=[200, 201], description="The version, in quotes; for `If-Match`."
)
_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "pattern": r"^[\x21-\x7e]{1,200}$"},
    OpenApiParameter.HEADER,
    description="A key of your own, best a UUID. The same request with the same key gets the first answer again, for seven "
    "days; another request with it is refused.",
)


class VersionMissing(DomainError):
    """What changes what others decide upon must say what was looked at."""

    code = "version_required"
    message = "Say by the header If-Match which version you looked at."
    status = 428


class PreconditionFailed(DomainError):
    """The version of ``If-Match`` is not the one now, which ``version`` tells."""

    code = "precondition_failed"
    status = 412

    def __init__(self, version: int, words: str) -> None:
        self.version = version
        super().__init__(words)


def query(name: str, schema: dict[str, Any], words: str = "") -> OpenApiParameter:
    """A parameter of a list."""
    return OpenApiParameter(name, schema, OpenApiParameter.QUERY, description=words)


PAGE = [
    query("page_size", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE}),
    query("cursor", {"type": "string", "pattern": "^[1-9][0-9]{0,17}$"}, "From `next`."),
]


def documented(
    answers: dict[int, Any],
    *,
    name: str,
    summary: str,
    request: type[serializers.Serializer] | None = None,
    refused: tuple[int, ...] = READ,
    parameters: list[OpenApiParameter] | None = None,
) -> Any:
    """Describe an operation: answers by status, and with which statuses it refuses. One that is refused by 412 takes
    ``If-Match``, one with a body takes a key."""
    more = [*([_KEY] if request else []), *([_MATCH] if 412 in refused else [])]
    etag = [_ETAG] if 412 in refused or name in ("risk", "mitigation") else []
    return extend_schema(
        operation_id=name,
        summary=summary,
        tags=["register"],
        request=request,
        parameters=[*(parameters or []), *more, *etag],
        responses=answers | {code: RegisterRefusalSerializer for code in refused},
    )


class RegisterView(APIView):
    """A view of the register: of what a person sees. What is outside is answered as if it did not exist."""

    permission_classes = [IsAuthenticated]
    parser_classes = [bodies.DocumentParser]
    sees = "register.view_risk"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not self.person.has_perm(self.sees):
            raise PermissionDenied
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            bodies.read_small(request)

    def handle_exception(self, exc: Exception) -> Response:
        response: Response = super().handle_exception(exc)
        version = getattr(exc, "version", None)
        if version is not None:
            response.data["error"]["version"] = version
            response["ETag"] = f'"{version}"'
        return response

    @property
    def person(self) -> User:
        """Who asks; the permission let nobody else through."""
        return cast(User, self.request.user)

    def values(self, shape: type[serializers.Serializer], *, partial: bool = False) -> dict[str, Any]:
        """The request's body, checked."""
        serializer = shape(data=self.request.data, partial=partial)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def seen(self) -> int:
        """The version that ``If-Match`` names.

        Raises:
            VersionMissing: there is no such header.
            ValidationError: it names none.
        """
        header = self.request.headers.get("If-Match")
        if header is None:
            raise VersionMissing
        read = _TAG.fullmatch(header.strip())
        if read is None:
            raise ValidationError({"If-Match": ['A version such as "3", as the ETag says it.']})
        return int(read[1])

    def number(self, name: str, least: int, most: int) -> int | None:
        """A whole number of the query; None without it.

        Raises:
            ValidationError: it is none, or out of bounds.
        """
        text = self.request.query_params.get(name)
        if text is None:
            return None
        value = whole(text)
        if value is None or not least <= value <= most:
            raise ValidationError({name: [f"A whole number from {least} to {most}."]})
        return value

    def answer_once(self, work: Callable[[], tuple[int, Any]], *, bound: bool = False) -> Response:
        """Do something once per idempotency key, in one transaction.

        Args:
            work: gives the status and the body.
            bound: whether it is bound by ``If-Match``: what changed meanwhile is answered by 412.
        """
        mark = fingerprint(
            str(self.request.method), self.request.path, json.dumps(self.request.data, sort_keys=True).encode()
        )

        def made() -> Answer:
            try:
                status, data = work()
            except DomainError as refusal:
                version = getattr(refusal, "version", None)
                if version is None or not bound:
                    raise
                raise PreconditionFailed(version, refusal.message) from None
            return Answer(status, json.loads(JSONRenderer().render(data)))

        key = self.request.headers.get("Idempotency-Key")
        answer = once(key, user=self.person, mark=mark, now=timezone.now(), work=made)
        headers = {"Idempotency-Replayed": "true"} if answer.replayed else {}
        if isinstance(answer.body, dict) and "version" in answer.body:
            headers["ETag"] = f'"{answer.body["version"]}"'
        return Response(answer.body, status=answer.status, headers=headers)

    def page(
        self,
        rows: QuerySet[Any],
        shape: type[serializers.BaseSerializer],
        context: Callable[[list[Any]], dict[str, Any]] = lambda found: {},
    ) -> Response:
        """A page of rows, newest first; it begins behind the last row of the one before, so rows that come move nothing.

        Args:
            context: what the shape needs to know about the rows of the page.

        Raises:
            ValidationError: the size or the cursor is none.
        """
        size = self.number("page_size", 1, MAX_PAGE_SIZE) or PAGE_SIZE
        cursor = self.request.query_params.get("cursor")
        if cursor is not None:
            before = whole(cursor)
            if before is None or not 0 < before < 10**18:
                raise ValidationError({"cursor": ["This is not the cursor of a page of this list."]})
            rows = rows.filter(pk__lt=before)
        found = list(rows.order_by("-pk")[: size + 1])
        url = self.request.build_absolute_uri()
        following = replace_query_param(url, "cursor", str(found[size - 1].pk)) if len(found) > size else None
        shown = found[:size]
        return Response({"next": following, "results": shape(shown, many=True, context=context(shown)).data})

    def chosen(self, name: str, known: list[str]) -> list[str]:
        """The values of a filter that may be given several times; all if it is not given.

        Raises:
            ValidationError: one of them is unknown.
        """
        values = self.request.query_params.getlist(name)
        if unknown := [value for value in values if value not in known]:
            raise ValidationError({name: [f"{unknown[0]!r} is none of {', '.join(known)}."]})
        return values or known
