"""The ASGI application: HTTP by Django, WebSockets by Channels."""

import gc
import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.urls import re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

django.setup()  # first: it loads the apps, which the imports below need

from django.conf import settings  # noqa: E402

from apps.core.handler import BoundedHandler  # noqa: E402
from apps.core.sockets import BodyCap, SocketId, no_such_socket  # noqa: E402
from config.urls import public_websocket_urlpatterns, websocket_urlpatterns  # noqa: E402

# The origin is checked before the cookie is believed: browsers send cookies with sockets of foreign pages too. The sockets
# of foreign pages stand outside, where there is no cookie to be believed.
ours = URLRouter([*websocket_urlpatterns, re_path("", no_such_socket)])  # type: ignore[arg-type]  # a view to the stubs, an app to Channels
guarded = AllowedHostsOriginValidator(AuthMiddlewareStack(ours))
sockets = URLRouter([*public_websocket_urlpatterns, re_path("", guarded)])
application = ProtocolTypeRouter(
    {
        "http": BodyCap(BoundedHandler(places=settings.ENV.database_pool_size), settings.MAX_BODY_BYTES),
        "websocket": SocketId(sockets),
    }
)

# What is loaded stays for good. Looking through it for garbage would stop all requests for a tenth of a second each time.
gc.collect()
gc.freeze()
