"""Bodies of API requests: small, JSON, and exactly as the description says.

DRF's own fields are lenient: ``1`` is a text and ``"yes"`` a truth to them, and what they do not know they pass over. A
misspelt ``attempt_date`` would then silently mean now. These fields take JSON's own types, RFC 3339 for time, and texts
for amounts, because a floating-point number is no amount.
"""

from __future__ import annotations

import codecs
import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.utils.json import strict_constant

from apps.core.errors import DomainError

MAX_BYTES = 64 * 1024
AMOUNT = r"^-?[0-9]{1,12}(\.[0-9]{1,2})?$"
_MOMENT = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)", re.ASCII
)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


class BodyTooLarge(DomainError):
    """More than any request of this API needs."""

    code = "too_large"
    message = f"The body is larger than {MAX_BYTES // 1024} KiB."
    status = 413


class DocumentParser(JSONParser):
    """JSON; what is nested too deeply to be read is malformed too, and so is an object that names a field twice: readers
    differ in which of the two they believe."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        encoding = (parser_context or {}).get("encoding", settings.DEFAULT_CHARSET)
        try:
            text = codecs.getreader(encoding)(stream)
            return json.load(text, parse_constant=strict_constant, object_pairs_hook=_each_once)
        except RecursionError:
            raise ParseError("The JSON is nested too deeply.") from None
        except (ValueError, LookupError) as error:  # LookupError: an encoding that nobody knows
            raise ParseError(f"JSON parse error - {error}") from None


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field is named twice")
    return found


def read_small(request: Request) -> None:
    """Read a request's body into memory, before anybody parses it.

    Raises:
        BodyTooLarge: it has more than :data:`MAX_BYTES`.
    """
    length = request.META.get("CONTENT_LENGTH") or "0"
    if (length.isdecimal() and int(length) > MAX_BYTES) or len(request._request.body) > MAX_BYTES:
        raise BodyTooLarge


class Truth(serializers.BooleanField):
    """``true`` or ``false``."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class Text(serializers.CharField):
    """A text."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Whole(serializers.IntegerField):
    """A whole number, which JSON may also write as ``3.0``; no text that looks like one."""

    def to_internal_value(self, data: Any) -> int:
        whole = isinstance(data, int) or (isinstance(data, float) and data.is_integer())  # 1e999 is infinite
        if isinstance(data, bool) or not whole:
            self.fail("invalid")
        return int(super().to_internal_value(int(data)))


class Choice(serializers.ChoiceField):
    """One of some texts."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("invalid_choice", input=data)
        return super().to_internal_value(data)


class Currency(serializers.RegexField):
    """Three capital letters of ISO 4217."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(r"^[A-Z]{3}$", **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


@extend_schema_field({"type": "string", "format": "decimal", "pattern": AMOUNT, "example": "19.99"})
class Amount(serializers.Field):
    """Money as a text, such as ``"19.99"``."""

    default_error_messages = {"invalid": 'An amount is a text such as "19.99", with at most two decimals.'}

    def to_internal_value(self, data: Any) -> Decimal:
        if not isinstance(data, str) or not re.search(AMOUNT, data):
            self.fail("invalid")
        return Decimal(data.strip())

    def to_representation(self, value: Decimal) -> str:
        return f"{value:f}"


@extend_schema_field(OpenApiTypes.DATETIME)
class Moment(serializers.Field):
    """A moment of RFC 3339, with its offset: ``2026-03-02T09:00:00Z``."""

    default_error_messages = {"invalid": "A moment is written as in 2026-03-02T09:00:00Z."}

    def to_internal_value(self, data: Any) -> datetime:
        if not isinstance(data, str) or not _MOMENT.fullmatch(data):
            self.fail("invalid")
        text = data.upper()
        if text[17:19] == "60":  # a leap second, which Python does not know
            text = f"{text[:17]}59{text[19:]}"
        try:
            return datetime.fromisoformat(text).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail("invalid")

    def to_representation(self, value: datetime) -> str:
        return value.isoformat().replace("+00:00", "Z")


@extend_schema_field(OpenApiTypes.DATE)
class Day(serializers.Field):
    """A day: ``2026-03-02``."""

    default_error_messages = {"invalid": "A day is written as in 2026-03-02."}

    def to_internal_value(self, data: Any) -> date:
        if not isinstance(data, str) or not _DAY.fullmatch(data):
            self.fail("invalid")
        try:
            return date.fromisoformat(data)
        except ValueError:
            self.fail("invalid")

    def to_representation(self, value: date) -> str:
        return value.isoformat()


class Body(serializers.Serializer):
    """What a request holds; fields that it does not know are refused. The names of subclasses end in ``Body``."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and (unknown := sorted(set(map(str, data)) - set(self.fields))):
            raise serializers.ValidationError({name: ["There is no such field."] for name in unknown[:10]})
        return super().to_internal_value(data)
