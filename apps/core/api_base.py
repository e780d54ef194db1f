"""What views of the API share: who asks, pages, bodies, writes bound by ``If-Match``, and answers by idempotency key."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

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
from apps.core.idempotency import Answer, KeyMissing, fingerprint, once
from apps.core.models import User
from apps.core.numbers import whole
from apps.core.people import user_of

READ = (401, 403, 404, 429)
PAGE_SIZE, MAX_PAGE_SIZE = 50, 200
ONE_TAG = r'(W/)?"[1-9][0-9]{0,9}"'
_TAG = re.compile(r'(?:W/)?"([1-9][0-9]{0,9})"', re.ASCII)


class VersionMissing(DomainError):
    """What changes what others decide upon must say what was looked at."""

    code = "version_required"
    message = "Say which version you looked at: by the header If-Match, or by seen_version."
    status = 428


class PreconditionFailed(DomainError):
    """The version of ``If-Match`` is not the one now, which ``version`` tells."""

    code = "precondition_failed"
    message = "It changed since you looked at it; If-Match does not name its version any more."
    status = 412

    def __init__(self, version: int, words: str = "") -> None:
        self.version = version
        super().__init__(words)


# --- Descriptions -----------------------------------------------------------------------------------------------------


def query(name: str, schema: dict[str, Any], words: str = "") -> OpenApiParameter:
    """A parameter of a list."""
    return OpenApiParameter(name, schema, OpenApiParameter.QUERY, description=words)


PAGE = [
    query("page_size", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE}),
    query("cursor", {"type": "string", "pattern": "^[1-9][0-9]{0,17}$"}, "From `next`."),
]


def key_header(*, required: bool = False) -> OpenApiParameter:
    """The header that names a request, so that it is done once."""
    return OpenApiParameter(
        "Idempotency-Key",
        {"type": "string", "pattern": r"^[\x21-\x7e]{1,200}$"},
        OpenApiParameter.HEADER,
        required=required,
        description="A key of your own, best a UUID. The same request with the same key gets the first answer again, for "
        "seven days; another request with it is refused.",
    )


def match_header(pattern: str, words: str, *, required: bool = False) -> OpenApiParameter:
    """The header that names the version that was looked at."""
    schema = {"type": "string", "pattern": pattern, "example": '"3"'}
    return OpenApiParameter("If-Match", schema, OpenApiParameter.HEADER, required=required, description=words)


def etag_header(*statuses: int) -> OpenApiParameter:
    """The header of answers that names the version."""
    return OpenApiParameter(
        "ETag",
        str,
        OpenApiParameter.HEADER,
        response=list(statuses),
        description="The version, in quotes; for `If-Match`.",
    )


def described(
    tag: str,
    answers: dict[int, Any],
    *,
    refusal: type[serializers.Serializer],
    name: str,
    summary: str,
    refused: Sequence[int],
    request: type[serializers.Serializer] | None = None,
    parameters: Sequence[OpenApiParameter | None] = (),
) -> Any:
    """Describe an operation: answers by status, and with which statuses it refuses.

    Args:
        tag: the part of the API.
        refusal: shape of a refusal.
        name: of the operation, for generated clients.
        parameters: None among them are passed over.
    """
    return extend_schema(
        operation_id=name,
        summary=summary,
        tags=[tag],
        request=request,
        parameters=[one for one in parameters if one is not None],
        responses=answers | {code: refusal for code in refused},
    )


# --- Views ------------------------------------------------------------------------------------------------------------


class PersonView(APIView):
    """A view for people who are logged in, and for their programs.

    Attributes:
        sees: the permission without which nothing here is answered; empty if none is needed.
    """

    permission_classes = [IsAuthenticated]
    parser_classes = [bodies.DocumentParser]
    sees = ""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if self.sees:
            self.may(self.sees)
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
        return user_of(self.request)

    def may(self, verb: str) -> None:
        """Refuse who may look and not do this.

        Raises:
            PermissionDenied: the person's role does not include it.
        """
        if not self.person.has_perm(verb):
            raise PermissionDenied

    def values(self, shape: type[serializers.Serializer], *, partial: bool = False) -> dict[str, Any]:
        """The request's body, checked."""
        serializer = shape(data=self.request.data, partial=partial)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def versions(self) -> list[int] | None:
        """The versions that ``If-Match`` names, at least one; None without the header.

        Raises:
            ValidationError: the header is no list of versions.
        """
        header = self.request.headers.get("If-Match")
        if header is None:
            return None
        tags = [_TAG.fullmatch(part.strip()) for part in header.split(",")]
        named = [int(tag[1]) for tag in tags if tag]
        if len(named) != len(tags):
            raise ValidationError({"If-Match": ['A version such as "3", as the ETag says it.']})
        return named

    def answer_once(self, work: Callable[[], tuple[int, Any]], *, key_required: bool = False) -> Response:
        """Do something once per idempotency key, in one transaction.

        Args:
            work: gives the status and the body.

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
            return Answer(status, json.loads(JSONRenderer().render(data)))

        answer = once(key, user=self.person, mark=mark, now=timezone.now(), work=made)
        headers = {"Idempotency-Replayed": "true"} if answer.replayed else {}
        if isinstance(answer.body, dict) and "version" in answer.body:
            headers["ETag"] = f'"{answer.body["version"]}"'
        return Response(answer.body, status=answer.status, headers=headers)

    # --- Lists --------------------------------------------------------------------------------------------------------

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

    def chosen(self, name: str, known: list[str]) -> list[str]:
        """The values of a filter that may be given several times; all if it is not given.

        Raises:
            ValidationError: one of them is unknown.
        """
        values = self.request.query_params.getlist(name)
        if unknown := [value for value in values if value not in known]:
            raise ValidationError({name: [f"{unknown[0]!r} is none of {', '.join(known)}."]})
        return values or known

    def page(
        self,
        rows: QuerySet[Any],
        shape: type[serializers.BaseSerializer],
        context: Callable[[list[Any]], dict[str, Any]] = lambda found: {},
    ) -> Response:
        """A page of rows, newest first. A page begins behind the last row of the one before, so its cost does not grow with
        its place, and rows that come move nothing.

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
