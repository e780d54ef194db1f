"""The product's settings, with the channel layer that Channels' tutorial names.

Its two options are not in the tutorial: with the defaults of redis-py 8 it refuses most of 200 sockets that open together,
and drops every idle one after five seconds.
"""

from config.settings import *  # noqa: F403

_SERVER = {"address": REDIS_URL, "socket_timeout": 15, "max_connections": 10_000}  # noqa: F405
CHANNEL_LAYERS = {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [_SERVER]}}}
