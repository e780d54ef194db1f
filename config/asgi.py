"""The ASGI application: HTTP by Django, WebSockets by Channels."""

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application
from django.urls import re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

http = get_asgi_application()  # first: it loads the apps, which the imports below need

from django.conf import settings  # noqa: E402

from apps.core.sockets import BodyCap, SocketId, no_such_socket  # noqa: E402
from config.urls import websocket_urlpatterns  # noqa: E402

# The origin is checked before the cookie is believed: browsers send cookies with sockets of foreign pages too.
sockets = URLRouter([*websocket_urlpatterns, re_path("", no_such_socket)])  # type: ignore[arg-type]  # a view to the stubs, an app to Channels
application = ProtocolTypeRouter(
    {
        "http": BodyCap(http, settings.MAX_BODY_BYTES),
        "websocket": SocketId(AllowedHostsOriginValidator(AuthMiddlewareStack(sockets))),
    }
)
