"""What all views of the register share: writes bound to a version by If-Match, and the words of refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
from apps.register.api_shapes import RegisterRefusalSerializer

__all__ = ["BOUND", "PAGE", "READ", "WRITE", "RegisterView", "documented", "query"]

WRITE = (400, 401, 403, 404, 409, 413, 415, 422, 429)
BOUND = (*WRITE, 412, 428)
_MATCH = match_header(
    f"^{ONE_TAG}$",
    "The `ETag` of what was looked at. Nothing is done, and 412 answered, if there is a newer version.",
    required=True,
)


def documented(
    answers: dict[int, Any],
    *,
    name: str,
    summary: str,
    request: type[serializers.Serializer] | None = None,
    refused: tuple[int, ...] = READ,
    parameters: list[OpenApiParameter] | None = None,
) -> Any:
    """Describe an operation. One that is refused by 412 takes ``If-Match``, one with a body takes a key."""
    headers = [
        key_header() if request else None,
        _MATCH if 412 in refused else None,
        etag_header(200, 201) if 412 in refused or name in ("risk", "mitigation") else None,
    ]
    return described(
        "register", answers, refusal=RegisterRefusalSerializer, name=name, summary=summary, refused=refused,
        request=request, parameters=[*(parameters or []), *headers],
    )  # fmt: skip


class RegisterView(PersonView):
    """A view of the register: of what a person sees. What is outside is answered as if it did not exist."""

    sees = "register.view_risk"

    def seen(self) -> int:
        """The version that ``If-Match`` names.

        Raises:
            VersionMissing: there is no such header.
            ValidationError: it does not name one.
        """
        named = self.versions()
        if named is None:
            raise VersionMissing("Say by the header If-Match which version you looked at.")
        if len(named) > 1:
            raise ValidationError({"If-Match": ['A version such as "3", as the ETag says it.']})
        return named[0]

    def answer_bound(self, work: Callable[[], tuple[int, Any]]) -> Response:
        """Do something once per idempotency key that is bound by ``If-Match``: what changed meanwhile is answered by 412."""

        def bound() -> tuple[int, Any]:
            try:
                return work()
            except DomainError as refusal:
                version = getattr(refusal, "version", None)
                if version is None:
                    raise
                raise PreconditionFailed(version, refusal.message) from None

        return self.answer_once(bound)
