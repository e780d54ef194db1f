"""The public API of the knowledge base: search, an article, an answer. Staff with a token also read what is internal."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core import bodies
from apps.core.numbers import whole
from apps.core.ratelimit import by_address
from apps.knowledge import api_shapes as shapes
from apps.knowledge.answers import LONGEST, answer, find
from apps.knowledge.calibration import current_settings
from apps.knowledge.centre import contents
from apps.knowledge.centre.readers import EVERYBODY, reader_for
from apps.knowledge.refusals import ArticleNotFound
from apps.knowledge.search.retrieve import Reader

MOST = contents.RESULTS


def query(name: str, schema: dict[str, Any], words: str = "", *, required: bool = False) -> OpenApiParameter:
    """A parameter of a search."""
    return OpenApiParameter(name, schema, OpenApiParameter.QUERY, description=words, required=required)


_LANGUAGE = query("language", {"type": "string", "pattern": shapes.LANGUAGE}, "Only articles in this language.")


def documented(answer: Any, *, name: str, summary: str, refused: tuple[int, ...], **more: Any) -> Any:
    """Describe an operation that strangers may use, too."""
    return extend_schema(
        operation_id=name,
        summary=summary,
        tags=["knowledge"],
        responses={200: answer} | {code: shapes.KnowledgeRefusalSerializer for code in refused},
        **more,
    )


class KnowledgeView(APIView):
    """A view that is open to strangers; each address has the limit of the API."""

    permission_classes = [AllowAny]
    parser_classes = [bodies.DocumentParser]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method == "POST":
            bodies.read_small(request)

    def reader(self, language: str = "") -> Reader:
        """Who asks."""
        return replace(reader_for(self.request.user), language=language)

    def text(self, name: str, most: int, pattern: str = "") -> str:
        """A text of the query; empty without it.

        Raises:
            ValidationError: it is empty, too long, or of another form.
        """
        text = self.request.query_params.get(name)
        if text is None:
            return ""
        if not 0 < len(text) <= most:
            raise ValidationError({name: [f"From 1 to {most} characters."]})
        if "\x00" in text or (pattern and not re.fullmatch(pattern, text)):
            raise ValidationError({name: ["It is not of the right form."]})
        return text


class SearchView(KnowledgeView):
    """Articles that fit a question."""

    @documented(
        shapes.SearchSerializer, name="knowledge_search", summary="Search articles", refused=(400, 401, 429),
        parameters=[
            query("q", {"type": "string", "minLength": 1, "maxLength": LONGEST}, "Words or a question.", required=True),
            _LANGUAGE,
            query("limit", {"type": "integer", "minimum": 1, "maximum": MOST, "default": MOST}),
        ],
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Articles that the reader may see, the best first. Nothing is kept of what was sought."""
        question = self.text("q", LONGEST)
        if not question:
            raise ValidationError({"q": ["This is needed."]})
        limit = self._limit()
        reader = self.reader(self.text("language", 10, shapes.LANGUAGE))
        found = find(question, reader, current_settings())
        results = contents.results(found.ranked, reader)[:limit]
        return Response(shapes.SearchSerializer({"results": results, "degraded": found.degraded}).data)

    def _limit(self) -> int:
        limit = whole(self.request.query_params.get("limit", str(MOST)))
        if limit is None or not 1 <= limit <= MOST:
            raise ValidationError({"limit": [f"A whole number from 1 to {MOST}."]})
        return limit


class ArticleView(KnowledgeView):
    """One article."""

    @documented(
        shapes.ArticleSerializer, name="knowledge_article", summary="An article", refused=(401, 404, 429),
        parameters=[OpenApiParameter("slug", {"type": "string", "maxLength": 120}, OpenApiParameter.PATH)],
    )  # fmt: skip
    def get(self, request: Request, slug: str) -> Response:
        """The live version of the article at an address, or at a former one."""
        reader = self.reader()
        found = contents.version_at(slug, reader)
        if found is None and (moved := contents.moved_to(slug, reader)):
            found = contents.version_at(moved, reader)
        if found is None:
            raise ArticleNotFound
        context = {"html": contents.rendered(found).html}
        return Response(shapes.ArticleSerializer(found, context=context).data)


class AnswerView(KnowledgeView):
    """An answer to a question."""

    @documented(
        shapes.AnswerSerializer, name="knowledge_answer", summary="Answer a question", request=shapes.QuestionBody,
        refused=(400, 401, 403, 413, 415, 429),
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """An article that answers, a few to choose from, or that nobody is sure. The question is kept, redacted."""
        body: serializers.Serializer[Any] = shapes.QuestionBody(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        reader = self.reader(asked["language"])
        known = replace(reader, language="") != EVERYBODY
        customer = asked["customer"] if known and asked["customer"] else f"address:{by_address(request._request)}"
        said = answer(asked["question"], reader=reader, source="api", now=timezone.now(), customer=customer)
        return Response(shapes.AnswerSerializer(said).data)
