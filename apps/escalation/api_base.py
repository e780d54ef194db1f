"""What all views of flags and tickets share: who may, pages, bodies, and answers by idempotency key."""

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
from apps.core.models import Scope, User
from apps.core.numbers import whole
from apps.core.scope import scopes_of, sees_every_scope
from apps.escalation.api_shapes import RefusalSerializer
from apps.escalation.binding import FlagChanged, MissingInformation
from apps.escalation.ticket_binding import TicketChanged

READ = (401, 403, 404, 429)
WRITE = (400, 401, 403, 404, 409, 412, 413, 415, 422, 429)
BOUND = (*WRITE, 428)
PAGE_SIZE, MAX_PAGE_SIZE = 50, 200
_TAG = re.compile(r'(?:W/)?"([1-9][0-9]{0,9})"', re.ASCII)
_MATCH = OpenApiParameter(
    "If-Match",
    {"type": "string", "pattern": r'^(\*|(W/)?"[1-9][0-9]{0,9}"( *, *(W/)?"[1-9][0-9]{0,9}")*)$', "example": '"3"'},
    OpenApiParameter.HEADER,
    description="The `ETag` of what was looked at. Nothing is done, and 412 `precondition_failed` answered, if there is a newer "
    "version. It stands for `seen_version`.",
)
_ETAG = OpenApiParameter(
    "ETag", str, OpenApiParameter.HEADER, response=[200], description="The version, in quotes; for `If-Match`."
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
    message = "Say which version you looked at: by the header If-Match, or by seen_version."
    status = 428


class PreconditionFailed(DomainError):
    """The version of ``If-Match`` is not the one now, which ``version`` tells."""

    code = "precondition_failed"
    message = "It changed since you looked at it; If-Match does not name its version any more."
    status = 412

    def __init__(self, version: int) -> None:
        self.version = version
        super().__init__()


def query(name: str, schema: dict[str, Any], words: str = "") -> OpenApiParameter:
    """A parameter of a list."""
    return OpenApiParameter(name, schema, OpenApiParameter.QUERY, description=words)


PAGE = [
    query("page_size", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE}),
    query("cursor", {"type": "string", "pattern": "^[1-9][0-9]{0,17}$"}, "From `next`."),
]


def documented(
    tag: str,
    answers: dict[int, Any],
    *,
    name: str,
    summary: str,
    request: type[serializers.Serializer] | None = None,
    refused: tuple[int, ...] = READ,
    parameters: list[OpenApiParameter] | None = None,
    matched: bool = False,
) -> Any:
    """Describe an operation: answers by status, and with which statuses it refuses. Operations with a body take a key.

    Args:
        matched: whether it takes ``If-Match``.
    """
    key, tags = [_KEY] if request else [], [_MATCH] if matched else []
    etag = [_ETAG] if matched or name in ("flag", "ticket") else []
    return extend_schema(
        operation_id=name,
        summary=summary,
        tags=[tag],
        request=request,
        parameters=[*(parameters or []), *key, *tags, *etag],
        responses=answers | {code: RefusalSerializer for code in refused},
    )


class DeskView(APIView):
    """A view of flags or tickets: of the scopes that a person works in. What is outside is answered as if it did not
    exist."""

    permission_classes = [IsAuthenticated]
    parser_classes = [bodies.DocumentParser]
    sees = ""  # the permission without which nothing here is answered

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

    def may(self, verb: str) -> None:
        """Refuse who may look and not do this.

        Raises:
            PermissionDenied: the person's role does not include it.
        """
        if not self.person.has_perm(verb):
            raise PermissionDenied

    def values(self, shape: type[serializers.Serializer]) -> dict[str, Any]:
        """The request's body, checked."""
        serializer = shape(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def scope(self, slug: str | None) -> Scope | None:
        """The scope that a body names, if the person works in it.

        Raises:
            MissingInformation: there is none such for this person.
        """
        if slug is None:
            return None
        mine = Scope.objects.all() if sees_every_scope(self.person) else scopes_of(self.person)
        found: Scope | None = mine.filter(slug=slug).first()
        if found is None:
            raise MissingInformation(fields={"scope": ["There is no such scope that you work in."]})
        return found

    def matched(self, version: int) -> int | None:
        """The version that ``If-Match`` names: the one now if it is among several; None without the header.

        Raises:
            ValidationError: the header is no list of versions.
        """
        header = self.request.headers.get("If-Match")
        if header is None:
            return None
        if header.strip() == "*":
            return version
        tags = [_TAG.fullmatch(part.strip()) for part in header.split(",")]
        named = [int(tag[1]) for tag in tags if tag]
        if len(named) != len(tags):
            raise ValidationError({"If-Match": ['A version such as "3", as the ETag says it.']})
        return version if version in named else named[0]

    def bound(
        self, row: Any, work: Callable[[], Any], values: dict[str, Any] | None, needed: bool
    ) -> Callable[[], None]:
        """What a write does, bound to the version that ``If-Match`` names.

        Args:
            row: the flag or ticket, as it was a moment ago.
            values: what the service is called with; gets the version as ``seen_version``. None for services that take none:
                then the row is locked and compared here.
            needed: whether the service cannot do without a version.

        Raises:
            VersionMissing: neither the header nor the body names the version.
            ValidationError: they name different ones.
        """
        seen = self.matched(row.version)
        if values is not None and seen is not None:
            if values.get("seen_version", seen) != seen:
                raise ValidationError({"seen_version": ["It is not the version that If-Match names."]})
            values["seen_version"] = seen
        elif needed and (values is None or "seen_version" not in values):
            raise VersionMissing

        def done() -> None:
            if values is None and seen is not None:
                held = type(row)._default_manager.select_for_update(of=("self",), no_key=True).get(pk=row.pk)
                if held.version != seen:
                    raise PreconditionFailed(held.version)
            try:
                work()
            except (FlagChanged, TicketChanged) as change:
                if seen is None:
                    raise
                raise PreconditionFailed(change.version) from None

        return done

    def answer_once(self, work: Callable[[], tuple[int, Any]]) -> Response:
        """Do something once per idempotency key, in one transaction.

        Args:
            work: gives the status and the body.
        """
        mark = fingerprint(
            str(self.request.method), self.request.path, json.dumps(self.request.data, sort_keys=True).encode()
        )

        def made() -> Answer:
            status, data = work()
            return Answer(status, json.loads(JSONRenderer().render(data)))

        key = self.request.headers.get("Idempotency-Key")
        answer = once(key, user=self.person, mark=mark, now=timezone.now(), work=made)
        headers = {"Idempotency-Replayed": "true"} if answer.replayed else {}
        if isinstance(answer.body, dict) and "version" in answer.body:
            headers["ETag"] = f'"{answer.body["version"]}"'
        return Response(answer.body, status=answer.status, headers=headers)

    def page(self, rows: QuerySet[Any], shape: type[serializers.BaseSerializer]) -> Response:
        """A page of rows, newest first. A page begins behind the last row of the one before, so its cost does not grow with
        its place, and rows that come move nothing.

        Raises:
            ValidationError: the size or the cursor is none.
        """
        size = whole(self.request.query_params.get("page_size", str(PAGE_SIZE)))
        if size is None or not 1 <= size <= MAX_PAGE_SIZE:
            raise ValidationError({"page_size": [f"A whole number from 1 to {MAX_PAGE_SIZE}."]})
        cursor = self.request.query_params.get("cursor")
        if cursor is not None:
            before = whole(cursor)
            if before is None or not 0 < before < 10**18:
                raise ValidationError({"cursor": ["This is not the cursor of a page of this list."]})
            rows = rows.filter(pk__lt=before)
        found = list(rows.order_by("-pk")[: size + 1])
        more = len(found) > size
        url = self.request.build_absolute_uri()
        following = replace_query_param(url, "cursor", str(found[size - 1].pk)) if more else None
        return Response({"next": following, "results": shape(found[:size], many=True).data})

    def chosen(self, name: str, known: list[str]) -> list[str]:
        """The values of a filter that may be given several times; all if it is not given.

        Raises:
            ValidationError: one of them is unknown.
        """
        values = self.request.query_params.getlist(name)
        if unknown := [value for value in values if value not in known]:
            raise ValidationError({name: [f"{unknown[0]!r} is none of {', '.join(known)}."]})
        return values or known
