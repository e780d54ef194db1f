"""The site, and beside it the list of scores that one writes first, for benchmarks/subscriptions_api.py.

The straightforward view is a stock ``ModelViewSet``: nested model serializers, numbered pages with their exact count, and
the order computed by the query. It is authenticated, limited and narrowed to what a person may see like the real one.
"""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from config.asgi import application  # noqa: I001  # sets Django up, so it comes first

from django.conf import settings
from django.db.models import Case, IntegerField, QuerySet, Value, When
from django.urls import include, path
from rest_framework import permissions, serializers, viewsets
from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request
from rest_framework.response import Response

from apps.subscriptions.models import RiskScore, Subscription

settings.ROOT_URLCONF = __name__
settings.RATE_LIMITS = {name: "100000000/minute" for name in settings.RATE_LIMITS}  # asked for as ever, never reached


class PlainSubscription(serializers.ModelSerializer):
    class Meta:
        model = Subscription
        fields = ["id", "name", "price", "currency", "renews_on", "status"]


class PlainSerializer(serializers.ModelSerializer):
    subscription = PlainSubscription()

    class Meta:
        model = RiskScore
        fields = ["subscription", "risk_level", "risk_factors", "total_weight", "last_calculated_at", "degraded"]


class PlainPages(PageNumberPagination):
    page_size = 50

    def get_paginated_response(self, data: list) -> Response:
        return Response({"success": True, "data": data, "total": self.page.paginator.count})


class PlainView(viewsets.ModelViewSet):
    lookup_field = "subscription"
    serializer_class = PlainSerializer
    pagination_class = PlainPages
    permission_classes = [permissions.IsAuthenticated]
    filter_backends = []
    request: Request

    def get_queryset(self) -> QuerySet[RiskScore]:
        rank = Case(
            When(risk_level="HIGH", then=Value(0)), When(risk_level="MEDIUM", then=Value(1)), default=Value(2),
            output_field=IntegerField(),
        )  # fmt: skip
        found = RiskScore.objects.visible_to(self.request.user).select_related("subscription")
        return found.annotate(rank=rank).order_by("rank", "-total_weight", "id")


urlpatterns = [
    path("plain/risk-score", PlainView.as_view({"get": "list"})),
    path("plain/risk-score/<uuid:subscription>", PlainView.as_view({"get": "retrieve"})),
    path("", include("config.urls")),
]

__all__ = ["application", "urlpatterns"]
