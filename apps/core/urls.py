"""Addresses of the core."""

from django.templatetags.static import static
from django.urls import path
from django.utils.functional import lazy
from django.views.generic import RedirectView

from apps.core import health, inbox, metrics, token_pages

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="root"),
    # Browsers and other readers ask for it even where the page names another icon.
    path("favicon.ico", RedirectView.as_view(url=lazy(static, str)("core/favicon.svg")), name="favicon"),
    path("health/live", health.live, name="health_live"),
    path("health/ready", health.ready, name="health_ready"),
    path("metrics", metrics.metrics, name="metrics"),
    path("inbox/", inbox.inbox, name="inbox"),
    path("inbox/read/", inbox.mark_all_read, name="inbox_read_all"),
    path("inbox/<int:pk>/read/", inbox.mark_read, name="inbox_read"),
    path("inbox/settings/", inbox.inbox_settings, name="inbox_settings"),
    path("tokens/", token_pages.own_tokens, name="own_tokens"),
    path("tokens/<uuid:token_id>/revoke/", token_pages.revoke_own, name="own_token_revoke"),
]
