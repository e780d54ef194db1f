"""Addresses of the API of the register."""

from django.urls import path

from apps.register import api

_RISK = "risks/<int:risk_id>"
urlpatterns = [
    path("risks", api.RisksView.as_view(), name="risks"),
    path(_RISK, api.OneRiskView.as_view(), name="risk"),
    path(f"{_RISK}/ratings", api.RatingsView.as_view(), name="risk_ratings"),
    path(f"{_RISK}/status", api.StatusView.as_view(), name="risk_status"),
    path(f"{_RISK}/acceptances", api.AcceptancesView.as_view(), name="risk_acceptances"),
    path(f"{_RISK}/mitigations", api.MitigationsView.as_view(), name="risk_mitigations"),
    path("acceptances/<int:acceptance_id>/decide", api.AcceptanceDecisionView.as_view(), name="acceptance_decide"),
    path("mitigations/<int:mitigation_id>", api.OneMitigationView.as_view(), name="mitigation"),
    path("controls", api.ControlsView.as_view(), name="controls"),
    path("controls/<int:control_id>/attestations", api.AttestationsView.as_view(), name="control_attestations"),
    path("assessments", api.AssessmentsView.as_view(), name="assessments"),
]
