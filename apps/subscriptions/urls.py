"""Addresses of the subscriptions' API."""

from django.urls import path

from apps.subscriptions import api, api_records, api_status

_SCORE = "risk-score/<uuid:subscription_id>"
_RECORDS = "subscriptions/<uuid:subscription_id>"
urlpatterns = [
    path("risk-score", api.ScoresView.as_view(), name="risk_scores"),
    path("risk-score/recalculate", api.RecalculateView.as_view(), name="risk_recalculate"),
    path("risk-score/recalculate/<int:run_id>", api.RunView.as_view(), name="risk_run"),
    path("reminders/status", api_status.SchedulerStatusView.as_view(), name="scheduler_status"),
    path(_SCORE, api.ScoreView.as_view(), name="risk_score"),
    path(f"{_SCORE}/calculate", api.CalculateView.as_view(), name="risk_calculate"),
    path(f"{_SCORE}/history", api.HistoryView.as_view(), name="risk_history"),
    path(f"{_RECORDS}/attempts", api_records.AttemptsView.as_view(), name="renewal_attempts"),
    path(f"{_RECORDS}/approvals", api_records.ApprovalsView.as_view(), name="approvals"),
    path(f"{_RECORDS}/approvals/<uuid:approval_id>/revoke", api_records.RevokeView.as_view(), name="approval_revoke"),
    path(f"{_RECORDS}/balance", api_records.BalanceView.as_view(), name="balance"),
]
