"""What all views of flags and tickets share: their scopes, and writes bound to what was looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response

from apps.core.api_base import (
    ONE_TAG,
    PAGE,
    READ,
    PersonView,
    PreconditionFailed,
    VersionMissing,
    described,
    etag_header,
    key_header,
    match_header,
    query,
)
from apps.core.errors import DomainError
from apps.core.models import Scope
from apps.core.scope import scopes_of, sees_every_scope
from apps.escalation.api_shapes import RefusalSerializer
from apps.escalation.binding import FlagChanged, MissingInformation
from apps.escalation.ticket_binding import TicketChanged

__all__ = ["BOUND", "PAGE", "READ", "WRITE", "DeskView", "documented", "query"]

WRITE = (400, 401, 403, 404, 409, 412, 413, 415, 422, 429)
BOUND = (*WRITE, 428)
_MATCH = match_header(
    rf"^(\*|{ONE_TAG}( *, *{ONE_TAG})*)$",
    "The `ETag` of what was looked at. Nothing is done, and 412 `precondition_failed` answered, if there is a newer "
    "version. It stands for `seen_version`.",
)


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
    """Describe an operation. Operations with a body take a key.

    Args:
        matched: whether it takes ``If-Match``.
    """
    headers = [
        key_header() if request else None,
        _MATCH if matched else None,
        etag_header(200) if matched or name in ("flag", "ticket") else None,
    ]
    return described(
        tag, answers, refusal=RefusalSerializer, name=name, summary=summary, refused=refused, request=request,
        parameters=[*(parameters or []), *headers],
    )  # fmt: skip


class DeskView(PersonView):
    """A view of flags or tickets: of the scopes that a person works in. What is outside is answered as if it did not
    exist."""

    missing: type[DomainError] = DomainError  # what is said of a row that is not there for the person

    def one(self, rows: QuerySet[Any], pk: int) -> Any:
        """The row, if it is there for this person.

        Raises:
            DomainError: it is not, in the words of the view.
        """
        found = rows.filter(pk=pk).first()
        if found is None:
            raise self.missing
        return found

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
        if self.request.headers.get("If-Match", "").strip() == "*":
            return version
        named = self.versions()
        if named is None:
            return None
        return version if version in named else named[0]

    def answer_change(
        self,
        row: Any,
        work: Callable[[], Any],
        values: dict[str, Any] | None,
        *,
        needed: bool,
        shown: Callable[[], Any],
    ) -> Response:
        """Do something with a row, if it is what ``If-Match`` says, and answer it as it is then; see :meth:`_bound`."""
        bound = self._bound(row, work, values, needed)

        def done() -> tuple[int, Any]:
            bound()
            return 200, shown()

        return self.answer_once(done)

    def _bound(
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
