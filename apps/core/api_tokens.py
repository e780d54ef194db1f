"""The API of tokens: a person makes, sees and revokes the own ones."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core import tokens
from apps.core.bodies import Body, DocumentParser, Text, read_small
from apps.core.errors import DomainError
from apps.core.models import ApiToken, User
from apps.core.models.api import ApiTokenQuerySet

DEFAULT_DAYS = 90


class TokenMissing(DomainError):
    code = "not_found"
    message = "You have no such token."
    status = 404


class TokenCannotMakeTokens(DomainError):
    """A token asked for another."""

    code = "sign_in_required"
    message = "Tokens are made by people: send name and password, or use your session."
    status = 403


class Days(serializers.IntegerField):
    """A whole number, as a number."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return super().to_internal_value(data)


class TokenBody(Body):
    """What a token is for, and how long it is valid."""

    name = Text(min_length=1, max_length=100)
    days = Days(required=False, default=DEFAULT_DAYS, min_value=1, max_value=tokens.LONGEST_DAYS)


class TokenSerializer(serializers.ModelSerializer):
    """A token, without its secret."""

    class Meta:
        model = ApiToken
        fields = ["id", "name", "token_key", "created", "expiry", "last_used_at"]
        read_only_fields = fields
        extra_kwargs = {"token_key": {"help_text": "How it begins."}}


class IssuedSerializer(TokenSerializer):
    """A token that was just made."""

    token = serializers.CharField(read_only=True, help_text="Shown this one time.")

    class Meta(TokenSerializer.Meta):
        fields = [*TokenSerializer.Meta.fields, "token"]
        read_only_fields = fields


class IssuedAnswerSerializer(serializers.Serializer):
    success = serializers.BooleanField(default=True)
    data = IssuedSerializer()  # type: ignore[assignment]  # DRF collects declared fields, and removes them


class TokensAnswerSerializer(serializers.Serializer):
    success = serializers.BooleanField(default=True)
    data = TokenSerializer(many=True)  # type: ignore[assignment]  # as above
    total = serializers.IntegerField()


def _refused(*codes: int) -> dict[int, Any]:
    return {code: {"$ref": "#/components/schemas/Error"} for code in codes}


class TokenView(APIView):
    """Own tokens."""

    permission_classes = [IsAuthenticated]
    parser_classes = [DocumentParser]

    def _own(self, request: Request) -> ApiTokenQuerySet:
        return cast(ApiTokenQuerySet, ApiToken.objects.filter(user=cast(User, request.user)))


class TokensView(TokenView):
    """The list, and making one. Name and password do beside a session, for owners who have no desk to sign in to."""

    authentication_classes = [tokens.PasswordAuthentication, tokens.TokenAuthentication, SessionAuthentication]

    @extend_schema(
        summary="Own API tokens", tags=["tokens"], responses={200: TokensAnswerSerializer} | _refused(401, 429)
    )
    def get(self, request: Request) -> Response:
        """Those that are valid, newest first; never their secrets."""
        data = TokenSerializer(self._own(request).alive(timezone.now()), many=True).data
        return Response({"success": True, "data": data, "total": len(data)})

    @extend_schema(
        summary="Make an API token",
        tags=["tokens"],
        request=TokenBody,
        responses={201: IssuedAnswerSerializer} | _refused(400, 401, 403, 409, 413, 415, 429),
    )
    def post(self, request: Request) -> Response:
        """Make a token with your own rights. Its secret is in this answer and never to be had again."""
        if isinstance(request.auth, ApiToken):
            raise TokenCannotMakeTokens
        read_small(request)
        body = TokenBody(data=request.data)
        body.is_valid(raise_exception=True)
        token, secret = tokens.issue(user=cast(User, request.user), **body.validated_data, now=timezone.now())
        data = TokenSerializer(token).data | {"token": secret}
        return Response({"success": True, "data": data}, status=201, headers={"Cache-Control": "no-store"})


class OneTokenView(TokenView):
    """One own token."""

    @extend_schema(summary="Revoke an API token", tags=["tokens"], responses={204: None} | _refused(401, 403, 404, 429))
    def delete(self, request: Request, token_id: UUID) -> Response:
        """End it now; a token may end itself too."""
        token = self._own(request).filter(pk=token_id).first()
        if token is None:
            raise TokenMissing
        tokens.revoke(token, actor=cast(User, request.user))
        return Response(status=204)
