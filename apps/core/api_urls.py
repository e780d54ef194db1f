"""Addresses of the core's API."""

from django.urls import path

from apps.core import api_tokens

urlpatterns = [
    path("tokens", api_tokens.TokensView.as_view(), name="api_tokens"),
    path("tokens/<uuid:token_id>", api_tokens.OneTokenView.as_view(), name="api_token"),
]
