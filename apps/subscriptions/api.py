"""The API of risk scores: list, one, its history, and calculating again."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.utils import timezone
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.errors import DomainError
from apps.core.rendering import ReadyJson
from apps.subscriptions import score_pages, services, tasks
from apps.subscriptions import serializers as shapes
from apps.subscriptions.api_base import SubscriptionView, documented
from apps.subscriptions.api_lists import (
    PAGE_PARAMETERS,
    SCORE_PARAMETERS,
    newest_first,
    scores_page,
    time_cursor,
)
from apps.subscriptions.models import RecalculationRun, RiskScoreHistory


class ScoreMissing(DomainError):
    """A subscription that was never calculated."""

    code = "score_missing"
    message = "This subscription has no score yet. Calculate it, or wait for the daily run."
    status = 404


class RunMissing(DomainError):
    code = "not_found"
    message = "There is no such recalculation."
    status = 404


def _answer(score: str) -> Response:
    return Response(ReadyJson(f'{{"success":true,"data":{score}}}'))


class ScoresView(SubscriptionView):
    """All scores that a person may see."""

    @documented(
        {200: shapes.ScorePage},
        name="risk_scores",
        summary="Risk scores, worst first",
        refused=(400, 401, 429),
        parameters=SCORE_PARAMETERS,
    )
    def get(self, request: Request) -> Response:
        """Scores of the subscriptions that you may see, HIGH before MEDIUM before LOW, then by the sum of weights."""
        return scores_page(self.person, request)


class ScoreView(SubscriptionView):
    """One subscription's score."""

    @documented({200: shapes.ScoreAnswer}, name="risk_score", summary="The risk score of a subscription")
    def get(self, request: Request, subscription_id: UUID) -> Response:
        """The score as last calculated. 404 `score_missing` if the subscription has none yet."""
        found = score_pages.one(self.person, subscription_id)
        if found is None:
            self.visible(subscription_id)
            raise ScoreMissing
        return _answer(found)


class CalculateView(SubscriptionView):
    """Calculating one subscription again."""

    @documented(
        {200: shapes.ScoreAnswer},
        name="risk_calculate",
        summary="Calculate the risk of a subscription now",
        refused=(401, 403, 404, 413, 429),
    )
    def post(self, request: Request, subscription_id: UUID) -> Response:
        """Calculate the score from the facts as they are now, and answer it."""
        self.visible(subscription_id, verbs=("subscriptions.change_riskscore",), owner=True)
        services.recalculate([subscription_id], now=timezone.now(), occasion="request")
        found = score_pages.one(self.person, subscription_id)
        if found is None:  # the calculation could not even store that it failed
            raise ScoreMissing
        return _answer(found)


class HistoryView(SubscriptionView):
    """How a subscription's score changed."""

    @documented(
        {200: shapes.HistoryPage},
        name="risk_history",
        summary="Changes of a subscription's risk score",
        refused=(400, 401, 404, 429),
        parameters=PAGE_PARAMETERS,
    )
    def get(self, request: Request, subscription_id: UUID) -> Response:
        """Each change of level, weights or degradation, newest first."""
        self.visible(subscription_id)
        rows = RiskScoreHistory.objects.filter(subscription_id=subscription_id)
        page = newest_first(rows, "calculated_at", request)
        shown = page.rows[: page.size]
        cursor = time_cursor(shown[-1].calculated_at, shown[-1].pk) if shown else ""
        return page.response(request, list(shapes.HistorySerializer(shown, many=True).data), cursor)


class RecalculateView(SubscriptionView):
    """Calculating all subscriptions again."""

    @documented(
        {202: shapes.RunAnswer},
        name="risk_recalculate",
        summary="Calculate the risk of all active subscriptions",
        refused=(401, 403, 413, 429),
    )
    def post(self, request: Request) -> Response:
        """For administrators. A worker does it; the run says how far it is. If one is under way, that one is answered."""
        if not self.person.has_perm("subscriptions.add_recalculationrun"):
            raise PermissionDenied
        run = services.request_run(trigger=RecalculationRun.Trigger.API, requested_by=self.person, now=timezone.now())
        transaction.on_commit(tasks.wake, robust=True)
        location = {"Location": f"/api/risk-score/recalculate/{run.pk}"}
        return Response({"success": True, "data": shapes.RunSerializer(run).data}, status=202, headers=location)


class RunView(SubscriptionView):
    """One recalculation."""

    @documented(
        {200: shapes.RunAnswer}, name="risk_run", summary="How far a recalculation is", refused=(401, 403, 404, 429)
    )
    def get(self, request: Request, run_id: int) -> Response:
        """Its state, counts and seconds."""
        if not self.person.has_perm("subscriptions.view_recalculationrun"):
            raise PermissionDenied
        run = RecalculationRun.objects.filter(pk=run_id).first()
        if run is None:
            raise RunMissing
        return Response({"success": True, "data": shapes.RunSerializer(run).data})
