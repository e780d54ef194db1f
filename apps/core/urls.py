"""Addresses of the core."""

from django.urls import path

from apps.core import inbox

urlpatterns = [
    path("inbox/", inbox.inbox, name="inbox"),
    path("inbox/read/", inbox.mark_all_read, name="inbox_read_all"),
    path("inbox/<int:pk>/read/", inbox.mark_read, name="inbox_read"),
    path("inbox/settings/", inbox.inbox_settings, name="inbox_settings"),
]
