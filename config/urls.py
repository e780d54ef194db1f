"""Every address of the site."""

from django.contrib import admin
from django.urls import URLPattern, include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from apps.chat.consumers import Customers
from apps.chat.desk.sockets import desk_sockets
from apps.knowledge.image_page import show_image

urlpatterns = [
    path("", include("apps.core.urls")),
    path("", include("apps.orders.urls")),
    path("", include("apps.chat.urls")),
    path("", include("apps.knowledge.centre.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="api_schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="api_schema"), name="api_docs"),
    path("api/", include("apps.subscriptions.urls")),  # asked the most, and addresses are searched from the first on
    path("api/", include("apps.actions.urls")),
    path("api/", include("apps.escalation.urls")),
    path("api/", include("apps.register.urls")),
    path("api/", include("apps.knowledge.urls")),
    path("api/", include("apps.core.api_urls")),
    path("help/images/<int:pk>-<slug:digest>", show_image, name="article_image"),
    path("admin/chat/desk/", include("apps.chat.desk.urls")),
    path("admin/", admin.site.urls),
]

# Sockets of staff, by path; each app adds its own. Only pages of this site may open them.
websocket_urlpatterns: list[URLPattern] = [*desk_sockets]
# Sockets of other sites' pages, without a cookie; each checks the page's origin itself.
public_websocket_urlpatterns: list[URLPattern] = [
    path("ws/chat/<slug:key>/", Customers()),  # type: ignore[arg-type]  # a view to the stubs
]

handler400 = "apps.core.errors.bad_request"
handler403 = "apps.core.errors.permission_denied"
handler404 = "apps.core.errors.not_found"
handler500 = "apps.core.errors.server_error"
