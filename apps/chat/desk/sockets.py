"""The address of the desk's socket."""

from channels.auth import AuthMiddlewareStack
from channels.security.websocket import AllowedHostsOriginValidator
from django.urls import path

from apps.chat.desk.socket import DeskConsumer

# Guarded here and not only where all sockets are gathered: customers' sockets come from pages of other sites.
desk_sockets = [path("ws/desk/", AllowedHostsOriginValidator(AuthMiddlewareStack(DeskConsumer.as_asgi())))]
