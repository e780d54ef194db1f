"""Shapes of the public API of the knowledge base."""

from __future__ import annotations

import re
from typing import Any

from django.conf import settings
from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.core.bodies import Body, Text
from apps.knowledge.answers import LONGEST, Hit, Outcome
from apps.knowledge.centre.contents import Link

LANGUAGE = r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,6})?$"


class KnowledgeProblemSerializer(serializers.Serializer):
    """What was wrong."""

    code = serializers.CharField(help_text="For programs; stable.")
    message = serializers.CharField(help_text="For people.")
    request_id = serializers.CharField(help_text="Quote it when you ask for help.")
    fields = serializers.JSONField(required=False, help_text="What is wrong by field.")  # type: ignore[assignment]


class KnowledgeRefusalSerializer(serializers.Serializer):
    """Every error has this shape."""

    error = KnowledgeProblemSerializer()


class FoundSerializer(serializers.Serializer[Link]):
    """An article that was found."""

    slug = serializers.CharField(read_only=True)
    title = serializers.CharField(read_only=True)
    language = serializers.CharField(read_only=True)
    excerpt = serializers.CharField(read_only=True, help_text="The part of it that fits best.")
    url = serializers.SerializerMethodField(help_text="Its page in the help centre.")

    def get_url(self, link: Link) -> str:
        return settings.SITE_URL + link.url


class SearchSerializer(serializers.Serializer):
    """Articles, the best first."""

    results = FoundSerializer(many=True, read_only=True)
    degraded = serializers.CharField(read_only=True, help_text="What was missing while it was sought, or empty.")


class ShelfSerializer(serializers.Serializer):
    """A category."""

    slug = serializers.CharField(read_only=True)
    title = serializers.CharField(read_only=True)


class ArticleSerializer(serializers.Serializer[Any]):
    """A published article, as its live version says it."""

    slug = serializers.CharField(source="article.slug", read_only=True)
    title = serializers.CharField(read_only=True)
    language = serializers.CharField(source="article.language", read_only=True)
    audience = serializers.CharField(source="article.audience", read_only=True)
    category = ShelfSerializer(source="article.category", read_only=True)
    version = serializers.IntegerField(source="number", read_only=True)
    body = serializers.CharField(read_only=True, help_text="Markdown.")
    html = serializers.SerializerMethodField(help_text="The body as HTML without scripts, styles or foreign pictures.")
    updated_at = serializers.DateTimeField(source="published_at", read_only=True)
    reviewed_at = serializers.DateTimeField(read_only=True, allow_null=True)
    url = serializers.SerializerMethodField(help_text="Its page in the help centre.")

    def get_html(self, version: Any) -> str:
        return str(self.context["html"])

    def get_url(self, version: Any) -> str:
        return settings.SITE_URL + reverse("help_article", args=[version.article.slug])


class HitSerializer(serializers.Serializer[Hit]):
    """An article that answers, or may answer."""

    slug = serializers.CharField(read_only=True)
    title = serializers.CharField(read_only=True)
    version = serializers.IntegerField(read_only=True, help_text="Id of the version that was read.")
    heading = serializers.CharField(read_only=True)
    passage = serializers.CharField(read_only=True, help_text="The part of it that fits best.")
    updated_at = serializers.DateTimeField(read_only=True, allow_null=True)
    score = serializers.FloatField(read_only=True, help_text="Comparable within one answer only.")
    url = serializers.SerializerMethodField(help_text="Its page in the help centre.")

    def get_url(self, hit: Hit) -> str:
        return settings.SITE_URL + reverse("help_article", args=[hit.slug])


class AnswerSerializer(serializers.Serializer):
    """What is said to a question: an answer, a few articles to choose from, or that nobody is sure."""

    outcome = serializers.ChoiceField(choices=[(one.value, one.value) for one in Outcome], read_only=True)
    text = serializers.CharField(read_only=True, help_text="The answer, or empty.")
    rephrased = serializers.BooleanField(
        read_only=True, help_text="Whether a model put the article's words into others."
    )
    cited = serializers.ListField(
        child=serializers.CharField(), read_only=True, help_text="Headings of the parts that a model's words rest on."
    )
    confidence = serializers.FloatField(read_only=True, help_text="Probability that the best article answers, 0 to 1.")
    articles = HitSerializer(source="hits", many=True, read_only=True)
    settings = serializers.IntegerField(read_only=True, help_text="Number of the settings that decided.")
    degraded = serializers.CharField(read_only=True, help_text="What was missing while it was answered, or empty.")
    asked = serializers.IntegerField(read_only=True, allow_null=True, help_text="Number of the kept question.")


@extend_schema_field({"type": "string", "pattern": LANGUAGE, "example": "en"})
class Language(Text):
    """A language's code, such as ``en`` or ``pt-BR``."""

    default_error_messages = {"form": 'A code such as "en".'}

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if not re.fullmatch(LANGUAGE, text):
            self.fail("form")
        return text


class QuestionBody(Body):
    """A question."""

    question = Text(min_length=1, max_length=LONGEST, trim_whitespace=False, help_text="As a customer asks it.")
    language = Language(
        max_length=10,
        required=False,
        default="",
        trim_whitespace=False,
        help_text="Only articles in this language; of any, if it is left out.",
    )
    customer = Text(
        max_length=64,
        required=False,
        default="",
        allow_blank=True,
        trim_whitespace=False,
        help_text="What tells your customers apart, such as a number; only a keyed hash of it is kept. With a token alone.",
    )
