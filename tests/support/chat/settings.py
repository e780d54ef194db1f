"""The product's settings for servers under load from one address: what protects it from one address is out of the way."""

from config.settings import *  # noqa: F403

ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
_MANY = "1000000/minute"
RATE_LIMITS = {name: _MANY for name in RATE_LIMITS}  # noqa: F405
CHAT_SOCKET_LIMITS = {
    "messages": (100_000, 100_000.0),
    "frames": (100_000, 100_000.0),
    "network_messages": (1_000_000, 1_000_000.0),
    "network_sockets": (1_000_000, 1_000_000.0),
    "open_of_network": 1_000_000,
    "open_of_session": 1_000,
}
